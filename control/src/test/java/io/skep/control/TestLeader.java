package io.skep.control;

import io.skep.store.ClusterState;
import io.skep.store.Consensus.Member;
import io.skep.store.Transaction;
import io.skep.wire.Command;
import io.skep.wire.CommandResult;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** A leader of commands, allocator, reaper and liveness; what orchestrators and scheduler do, tests do themselves. */
final class TestLeader {
    private final TestWorld world;
    private final ControlLoop loop;

    /** Who agrees on the log. */
    List<Member> members = List.of();

    private @Nullable Instant nextWake;

    TestLeader(TestWorld world, IdSource ids) {
        this.world = world;
        NodeLiveness liveness = new NodeLiveness(world.state(), world.now());
        Slots slots = new Slots(world.state(), ids);
        loop = new ControlLoop(
                new CommandHandler(ids, liveness, () -> members)::handle,
                List.of(
                        liveness,
                        slots,
                        new Allocator(world.state()),
                        new TaskReaper(world.state(), slots, new RestartSupervisor(world.state(), slots)),
                        new NetworkKeyRotation(world.now(), ids)));
        step();
    }

    ClusterState state() {
        return world.state();
    }

    /** Runs a command and the loops, and commits. */
    CommandResult run(Command.Builder command) {
        ControlLoop.Outcome outcome = attempt(command);
        if (outcome.refusal() != null) {
            throw outcome.refusal();
        }
        if (outcome.result() == null) {
            throw new AssertionError("an outcome without result and refusal");
        }
        return outcome.result();
    }

    ControlLoop.Outcome attempt(Command.Builder command) {
        Transaction transaction = world.begin();
        ControlLoop.Step step = loop.step(transaction, world.now(), List.of(command.build()));
        world.commit(transaction);
        nextWake = step.nextWake();
        return step.outcomes().getFirst();
    }

    /** Makes changes as another part of the leader would, lets the loops react, and commits. */
    void change(Consumer<Transaction> changes) {
        Transaction transaction = world.begin();
        changes.accept(transaction);
        nextWake = loop.step(transaction, world.now(), List.of()).nextWake();
        world.commit(transaction);
    }

    void step() {
        change(transaction -> {});
    }

    /** Lets time pass, and the leader act whenever it asked to. */
    void pass(Duration time) {
        Instant end = world.now().plus(time);
        while (nextWake != null && !nextWake.isAfter(end)) {
            world.pass(Duration.between(world.now(), nextWake));
            step();
        }
        world.pass(Duration.between(world.now(), end));
    }
}
