package io.skep.load;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import io.skep.wire.UpdateTaskStatusRequest.TaskStatusUpdate;
import java.util.List;
import org.junit.jupiter.api.Test;

class ReportQueueTest {
    private final ReportQueue queue = new ReportQueue();

    private static TaskStatus status(TaskState state) {
        return TaskStatus.newBuilder().setState(state).build();
    }

    private List<String> take(int countMax) {
        return queue.take(countMax).stream()
                .map(update -> update.getTaskId() + " " + update.getStatus().getState())
                .toList();
    }

    @Test
    void onlyTheNewestStatusOfATaskWaits() {
        queue.offer("a", status(TaskState.ACCEPTED));
        queue.offer("b", status(TaskState.ACCEPTED));
        queue.offer("a", status(TaskState.PREPARING));

        assertThat(take(1)).containsExactly("a PREPARING");
        assertThat(take(10)).containsExactly("b ACCEPTED");
        assertThat(queue.isEmpty()).isTrue();
    }

    @Test
    void whatCouldNotBeSentGivesWayToNews() {
        queue.offer("a", status(TaskState.ACCEPTED));
        queue.offer("b", status(TaskState.ACCEPTED));
        List<TaskStatusUpdate> lost = queue.take(2);
        queue.offer("a", status(TaskState.RUNNING));
        queue.putBack(lost);

        assertThat(take(10)).containsExactly("a RUNNING", "b ACCEPTED");
    }

    @Test
    void nothingIsSaidOfATaskThatIsGone() {
        queue.offer("a", status(TaskState.ACCEPTED));
        queue.forget("a");

        assertThat(queue.isEmpty()).isTrue();
    }
}
