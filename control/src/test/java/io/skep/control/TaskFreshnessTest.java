package io.skep.control;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.wire.EndpointSpec;
import io.skep.wire.Node;
import io.skep.wire.PortConfig;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.Version;
import org.junit.jupiter.api.Test;

class TaskFreshnessTest {
    private static final Node NODE = Node.newBuilder().setId("n1").build();

    private final Service.Builder service = Service.newBuilder().setSpecVersion(version(7));
    private final Task.Builder task = Task.newBuilder().setSpecVersion(version(7));

    TaskFreshnessTest() {
        service.getSpecBuilder().getTaskBuilder().getContainerBuilder().setImage("web:1");
        task.setSpec(service.getSpec().getTask()).getStatusBuilder().setState(TaskState.RUNNING);
        task.setDesiredState(TaskState.RUNNING).getEndpointBuilder().setSpec(EndpointSpec.getDefaultInstance());
    }

    @Test
    void theSameVersionIsCleanWhateverItHolds() {
        service.getSpecBuilder().getTaskBuilder().getContainerBuilder().setImage("web:2");

        assertThat(dirty()).isFalse();
    }

    @Test
    void aNewVersionOfTheSameTaskIsClean() {
        service.setSpecVersion(version(8))
                .getSpecBuilder()
                .getReplicatedBuilder()
                .setReplicas(9);

        assertThat(dirty()).isFalse();
    }

    @Test
    void anotherImageIsDirty() {
        service.setSpecVersion(version(8))
                .getSpecBuilder()
                .getTaskBuilder()
                .getContainerBuilder()
                .setImage("web:2");

        assertThat(dirty()).isTrue();
    }

    @Test
    void anotherPortIsDirty() {
        service.setSpecVersion(version(8))
                .getSpecBuilder()
                .getEndpointBuilder()
                .addPorts(PortConfig.newBuilder().setTargetPort(80));

        assertThat(dirty()).isTrue();
    }

    @Test
    void anotherPlacementIsCleanWhileTheNodeFits() {
        service.setSpecVersion(version(8))
                .getSpecBuilder()
                .getTaskBuilder()
                .getPlacementBuilder()
                .addConstraints("node.id==n1");

        assertThat(dirty()).isFalse();
        assertThat(TaskFreshness.isDirty(service.build(), task.build(), null)).isTrue();

        service.getSpecBuilder().getTaskBuilder().getPlacementBuilder().setConstraints(0, "node.id!=n1");
        assertThat(dirty()).isTrue();
    }

    @Test
    void anotherPlacementDoesNotHideAnotherImage() {
        service.setSpecVersion(version(8))
                .getSpecBuilder()
                .getTaskBuilder()
                .getContainerBuilder()
                .setImage("web:2");
        service.getSpecBuilder().getTaskBuilder().getPlacementBuilder().addConstraints("node.id==n1");

        assertThat(dirty()).isTrue();
    }

    @Test
    void pullOptionsMatterOnlyBeforeTheImageIsThere() {
        service.setSpecVersion(version(8))
                .getSpecBuilder()
                .getTaskBuilder()
                .getContainerBuilder()
                .getPullOptionsBuilder()
                .setRegistryAuth("secret");

        assertThat(dirty()).isFalse();

        task.getStatusBuilder().setState(TaskState.PREPARING);
        assertThat(dirty()).isTrue();
    }

    private boolean dirty() {
        return TaskFreshness.isDirty(service.build(), task.build(), NODE);
    }

    private static Version version(long index) {
        return Version.newBuilder().setIndex(index).build();
    }
}
