package io.skep.api;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.Timestamp;
import io.skep.engine.EngineEvent;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.wire.Service;
import io.skep.wire.UpdateStatus;
import io.skep.wire.UpdateStatus.UpdateState;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
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

    @Test
    void eventsOfContainersAreFoundByWhatTheyAreAbout() {
        ClusterEvent event = ClusterEvent.of(new EngineEvent(
                "container", "exec_start: ls", "abc", Map.of("image", "bb:1", "name", "web"), Instant.EPOCH));
        for (String filter :
                List.of("container=we", "container=ab", "image=bb", "image=bb:1", "event=exec_start", "scope=local")) {
            assertThat(event.matches(filter(filter))).as(filter).isTrue();
        }
        for (String filter : List.of("container=eb", "image=b", "event=start", "scope=swarm", "network=we")) {
            assertThat(event.matches(filter(filter))).as(filter).isFalse();
        }
        assertThat(new String(JsonOut.object(event::write), StandardCharsets.UTF_8))
                .startsWith("{\"status\":\"exec_start: ls\",\"id\":\"abc\",\"from\":\"bb:1\",\"Type\":\"container\"");
    }

    private static Filters filter(String text) {
        int equals = text.indexOf('=');
        return new Filters(Map.of(text.substring(0, equals), Set.of(text.substring(equals + 1))));
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
