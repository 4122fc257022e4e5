package io.skep.load;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.wire.TaskState;
import java.util.ArrayList;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

class TaskLifeTest {
    private static List<TaskState> life(TaskState from, TaskState desired) {
        List<TaskState> states = new ArrayList<>();
        TaskState state = from;
        for (TaskLife.Step step = TaskLife.next(state, desired);
                !TaskLife.isNothing(step);
                step = TaskLife.next(state, desired)) {
            state = step.next();
            states.add(state);
        }
        return states;
    }

    @Test
    void goesThroughAllStatesOfAnEngine() {
        assertThat(life(TaskState.ASSIGNED, TaskState.RUNNING))
                .containsExactly(
                        TaskState.ACCEPTED,
                        TaskState.PREPARING,
                        TaskState.READY,
                        TaskState.STARTING,
                        TaskState.RUNNING);
    }

    @Test
    void isHeldWhereItIsWished() {
        assertThat(life(TaskState.ASSIGNED, TaskState.READY)).endsWith(TaskState.READY);
        assertThat(life(TaskState.READY, TaskState.RUNNING)).containsExactly(TaskState.STARTING, TaskState.RUNNING);
    }

    @Test
    void stopsOnceWhateverItDid() {
        assertThat(life(TaskState.PREPARING, TaskState.REMOVE)).containsExactly(TaskState.SHUTDOWN);
        assertThat(life(TaskState.RUNNING, TaskState.SHUTDOWN)).containsExactly(TaskState.SHUTDOWN);
        assertThat(life(TaskState.COMPLETE, TaskState.SHUTDOWN)).isEmpty();
    }

    @Test
    void onlyContainersTakeTime() {
        assertThat(TaskLife.next(TaskState.PREPARING, TaskState.RUNNING).work()).isEqualTo(TaskLife.Work.PREPARE);
        assertThat(TaskLife.next(TaskState.STARTING, TaskState.RUNNING).work()).isEqualTo(TaskLife.Work.START);
        assertThat(TaskLife.next(TaskState.RUNNING, TaskState.SHUTDOWN).work()).isEqualTo(TaskLife.Work.STOP);
        assertThat(TaskLife.next(TaskState.ACCEPTED, TaskState.RUNNING).work()).isEqualTo(TaskLife.Work.NONE);
    }

    @Property
    void neverGoesBackAndAlwaysEnds(@ForAll TaskState from, @ForAll TaskState desired) {
        if (from == TaskState.UNRECOGNIZED || desired == TaskState.UNRECOGNIZED) {
            return;
        }
        List<TaskState> states = life(from, desired);
        assertThat(states).hasSizeLessThanOrEqualTo(5);
        int before = from.getNumber();
        for (TaskState state : states) {
            assertThat(state.getNumber()).isGreaterThan(before);
            before = state.getNumber();
        }
    }
}
