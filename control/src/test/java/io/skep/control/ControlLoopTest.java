package io.skep.control;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.store.ClusterState;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.Command;
import io.skep.wire.CommandResult;
import io.skep.wire.CreateServiceRequest;
import io.skep.wire.RegisterNode;
import io.skep.wire.Secret;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class ControlLoopTest {
    private static final Instant NOW = Instant.parse("2026-01-01T00:00:00Z");

    private int handled;

    @Test
    void aRepeatedCommandGetsTheAnswerOfTheFirst() {
        ControlLoop loop = new ControlLoop(this::makeSecret, List.of());
        Command command = create("r1");

        Transaction first = new Transaction(ClusterState.empty(), NOW);
        CommandResult answer =
                loop.step(first, NOW, List.of(command)).outcomes().getFirst().result();
        Transaction second = new Transaction(first.commit(), NOW);
        ControlLoop.Step step = loop.step(second, NOW, List.of(command));

        assertThat(step.outcomes().getFirst().result()).isEqualTo(answer);
        assertThat(second.isEmpty()).isTrue();
        assertThat(handled).isEqualTo(1);
    }

    @Test
    void aReportIsNotRemembered() {
        ControlLoop loop = new ControlLoop(this::makeSecret, List.of());
        Command report = Command.newBuilder()
                .setRequestId("r1")
                .setRegisterNode(RegisterNode.getDefaultInstance())
                .build();

        Transaction transaction = new Transaction(ClusterState.empty(), NOW);
        loop.step(transaction, NOW, List.of(report, report));

        assertThat(handled).isEqualTo(2);
        assertThat(transaction.commit().outcome("r1")).isNull();
    }

    @Test
    void aRefusedCommandLeavesNothingBehindAndTheOthersGoOn() {
        Recorder recorder = new Recorder();
        ControlLoop loop = new ControlLoop(
                (transaction, now, command) -> {
                    CommandResult result = makeSecret(transaction, now, command);
                    if (command.getRequestId().equals("bad")) {
                        throw new CommandException(CommandException.Code.ABORTED, "no");
                    }
                    return result;
                },
                List.of(recorder));

        Transaction transaction = new Transaction(ClusterState.empty(), NOW);
        List<ControlLoop.Outcome> outcomes = loop.step(transaction, NOW, List.of(create("bad"), create("good")))
                .outcomes();

        assertThat(outcomes).extracting(outcome -> outcome.refusal() == null).containsExactly(false, true);
        assertThat(transaction.commit().secrets().size()).isEqualTo(1);
        assertThat(recorder.heard).containsExactly("s2");
    }

    @Test
    void aCommandThatBreaksIsRefusedAndTheOthersGoOn() {
        ControlLoop loop = new ControlLoop(
                (transaction, now, command) -> {
                    CommandResult result = makeSecret(transaction, now, command);
                    if (command.getRequestId().equals("bad")) {
                        throw new IllegalStateException("broken");
                    }
                    return result;
                },
                List.of());

        Transaction transaction = new Transaction(ClusterState.empty(), NOW);
        List<ControlLoop.Outcome> outcomes = loop.step(transaction, NOW, List.of(create("bad"), create("good")))
                .outcomes();

        assertThat(outcomes)
                .extracting(outcome ->
                        outcome.refusal() == null ? "" : outcome.refusal().text())
                .containsExactly(
                        "the command failed inside the manager; the log of the leader says where:"
                                + " java.lang.IllegalStateException: broken",
                        "");
        assertThat(transaction.commit().secrets().size()).isEqualTo(1);
    }

    @Test
    void loopsHearEachOtherUntilNothingChanges() {
        Recorder first = new Recorder();
        Loop second = new Recorder() {
            @Override
            public void act(Transaction transaction, Instant now) {
                if (transaction.state().secrets().size() < 3) {
                    putSecret(transaction, "t" + transaction.state().secrets().size());
                }
            }

            @Override
            public Instant nextWake() {
                return NOW.plusSeconds(9);
            }
        };
        ControlLoop loop = new ControlLoop(this::makeSecret, List.of(first, second));

        Transaction transaction = new Transaction(ClusterState.empty(), NOW);
        ControlLoop.Step step = loop.step(transaction, NOW, List.of());

        assertThat(first.heard).containsExactly("t0", "t1", "t2");
        assertThat(step.nextWake()).isEqualTo(NOW.plusSeconds(9));
    }

    @Test
    void loopsThatNeverRestDoNotHoldUpTheLeaderForEver() {
        Recorder restless = new Recorder() {
            @Override
            public void act(Transaction transaction, Instant now) {
                putSecret(transaction, "x");
            }
        };
        ControlLoop loop = new ControlLoop(this::makeSecret, List.of(restless));

        Transaction transaction = new Transaction(ClusterState.empty(), NOW);
        ControlLoop.Step step = loop.step(transaction, NOW, List.of());

        assertThat(step.nextWake()).isEqualTo(NOW);
        assertThat(restless.heard).hasSameSizeAs(transaction.events());
    }

    @Test
    void aLoopWithMuchToDoGoesOnInTheNextStep() {
        int all = ControlLoop.CHANGES_OF_A_LOOP_MAX + 2;
        Recorder first = new Recorder() {
            private int made;

            @Override
            public void act(Transaction transaction, Instant now) {
                while (made < all && !transaction.isFull()) {
                    putSecret(transaction, "t" + made++);
                }
            }
        };
        Recorder second = new Recorder() {
            @Override
            public void act(Transaction transaction, Instant now) {
                if (!transaction.isFull() && transaction.state().secrets().get("other") == null) {
                    putSecret(transaction, "other");
                }
            }
        };
        ControlLoop loop = new ControlLoop(this::makeSecret, List.of(first, second));

        Transaction one = new Transaction(ClusterState.empty(), NOW);
        assertThat(loop.step(one, NOW, List.of()).nextWake()).isEqualTo(NOW);
        assertThat(one.state().secrets().size()).isEqualTo(all - 2 + 1);
        Transaction two = new Transaction(one.commit(), NOW);
        assertThat(loop.step(two, NOW, List.of()).nextWake()).isNull();
        assertThat(two.events()).hasSize(2);
    }

    private CommandResult makeSecret(Transaction transaction, Instant now, Command command) {
        handled++;
        return CommandResult.newBuilder()
                .setSecret(putSecret(transaction, "s" + handled))
                .build();
    }

    private static Secret putSecret(Transaction transaction, String id) {
        return transaction.put(Kind.SECRET, Secret.newBuilder().setId(id).build());
    }

    private static Command create(String requestId) {
        return Command.newBuilder()
                .setRequestId(requestId)
                .setCreateService(CreateServiceRequest.getDefaultInstance())
                .build();
    }

    private static class Recorder implements Loop {
        final List<String> heard = new ArrayList<>();

        @Override
        public void observe(Event<?> event, ClusterState state) {
            heard.add(event.id());
        }

        @Override
        public void act(Transaction transaction, Instant now) {}

        @Override
        public @Nullable Instant nextWake() {
            return null;
        }
    }
}
