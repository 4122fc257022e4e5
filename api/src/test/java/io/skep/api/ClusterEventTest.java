package io.skep.api;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.Timestamp;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.wire.Service;
import io.skep.wire.UpdateStatus;
import io.skep.wire.UpdateStatus.UpdateState;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;

class ClusterEventTest {
    private static final Service IDLE = Service.newBuilder().setId("s").build();

    @Test
    void theStateOfAnUpdateIsToldWhenThereIsOne() {
        Service updating = in(UpdateState.UPDATING);
        Service completed = in(UpdateState.COMPLETED);
        assertThat(attributes(IDLE, updating)).isEqualTo(Map.of("name", "", "updatestate.new", "updating"));
        assertThat(attributes(updating, completed))
                .isEqualTo(Map.of("name", "", "updatestate.old", "updating", "updatestate.new", "completed"));
        assertThat(attributes(completed, IDLE)).isEqualTo(Map.of("name", ""));
    }

    private static Service in(UpdateState state) {
        return IDLE.toBuilder()
                .setUpdateStatus(UpdateStatus.newBuilder().setState(state))
                .build();
    }

    private static Map<String, String> attributes(Service before, Service after) {
        ClusterEvent event = ClusterEvent.of(new Event<>(Kind.SERVICE, before, after), Timestamp.getDefaultInstance());
        return Objects.requireNonNull(event).attributes();
    }
}
