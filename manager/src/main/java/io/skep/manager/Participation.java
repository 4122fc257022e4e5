package io.skep.manager;

import io.skep.certs.NodeIdentity;
import io.skep.control.CommandException;
import io.skep.manager.ManagerSettings.Start;
import io.skep.store.Consensus.Leadership;
import io.skep.store.Consensus.LeadershipListener;
import io.skep.store.Consensus.Member;
import io.skep.wire.ChangeManager;
import io.skep.wire.Command;
import io.skep.wire.LeaderGrpc;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * How this manager comes to take part in the cluster: it begins it, asks others to let it in, or tells them where it is
 * now. It goes on until it does, one attempt after the other, with a pause that another leader shortens.
 */
final class Participation implements LeadershipListener, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Participation.class);
    private static final Duration ATTEMPT = Duration.ofSeconds(10);
    private static final Duration PAUSE = Duration.ofSeconds(1);

    private final ManagerPorts ports;
    private final CommandRouter router;
    private final String address;
    private final CompletableFuture<Void> ready = new CompletableFuture<>();

    private @Nullable Runnable next;
    private boolean asking;
    private boolean closed;

    /**
     * Makes it.
     *
     * @param address host:port at which others reach this manager
     */
    Participation(ManagerPorts ports, CommandRouter router, String address) {
        this.ports = ports;
        this.router = router;
        this.address = address;
    }

    /**
     * Completes when this manager takes part; fails with {@link CommandException} when the cluster does not take it.
     */
    CompletableFuture<Void> ready() {
        return ready;
    }

    void start(Start start) {
        switch (start) {
            case Start.Bootstrap bootstrap ->
                end(router.execute(Command.newBuilder()
                        .setRequestId(ports.ids().nextId())
                        .setInitCluster(bootstrap.cluster())
                        .build()));
            case Start.Join join -> join(join.addresses(), 0);
            case Start.Restart restart -> tellAddress();
            case Start.ForceNewCluster force -> tellAddress();
        }
    }

    private void end(CompletableFuture<?> outcome) {
        var _ = outcome.whenComplete((done, failure) -> {
            if (failure == null) {
                ready.complete(null);
            } else {
                refused(CommandRouter.cause(failure));
            }
        });
    }

    private void refused(Throwable reason) {
        LOG.warn("this manager cannot take part in the cluster: {}", text(reason));
        ready.completeExceptionally(reason);
    }

    private Command tellManager() {
        return Command.newBuilder()
                .setRequestId(ports.ids().nextId())
                .setChangeManager(ChangeManager.newBuilder()
                        .setNodeId(ports.consensus().selfId())
                        .setAddress(address))
                .build();
    }

    /** Asks one manager after the other, until one lets this one in. */
    private void join(List<String> addresses, int index) {
        Member self = self();
        if (self != null && self.voter()) {
            ready.complete(null);
            return;
        }
        if (index == addresses.size()) {
            pause(() -> join(addresses, 0));
            return;
        }
        String asked = addresses.get(index);
        var _ = askToJoin(asked)
                .whenCompleteAsync((executed, failure) -> answered(addresses, index, failure), ports.executor());
    }

    private void answered(List<String> addresses, int index, @Nullable Throwable failure) {
        if (failure == null) {
            ready.complete(null);
        } else if (failure instanceof CommandException refusal && refusal.code() != CommandException.Code.UNAVAILABLE) {
            refused(refusal);
        } else {
            LOG.info("manager {} did not let this one join: {}", addresses.get(index), text(failure));
            join(addresses, index + 1);
        }
    }

    /**
     * Asks the others for a place among them, once around, as long as none of them says yes. A manager that has its
     * place loses nothing by it.
     */
    void askAgain() {
        List<String> others = ports.consensus().members().stream()
                .filter(member -> !member.nodeId().equals(ports.consensus().selfId()))
                .map(Member::address)
                .filter(other -> !other.isEmpty())
                .toList();
        synchronized (this) {
            if (closed || asking || others.isEmpty()) {
                return;
            }
            asking = true;
        }
        ask(others, 0);
    }

    private void ask(List<String> others, int index) {
        if (index == others.size()) {
            synchronized (this) {
                asking = false;
            }
            return;
        }
        String asked = others.get(index);
        var _ = askToJoin(asked)
                .whenCompleteAsync(
                        (executed, failure) -> {
                            if (failure != null) {
                                LOG.info("manager {} has no place for this one: {}", asked, text(failure));
                            }
                            ask(others, failure == null ? others.size() : index + 1);
                        },
                        ports.executor());
    }

    private CompletableFuture<Executed> askToJoin(String asked) {
        try {
            return CommandRouter.ask(
                    LeaderGrpc.newFutureStub(ports.peers().to(NodeIdentity.MANAGER_NAME, asked)),
                    tellManager(),
                    ports.ticker().nanoTime() + ATTEMPT.toNanos(),
                    ports.ticker());
        } catch (RuntimeException e) {
            return CompletableFuture.failedFuture(e);
        }
    }

    private @Nullable Member self() {
        for (Member member : ports.consensus().members()) {
            if (member.nodeId().equals(ports.consensus().selfId())) {
                return member;
            }
        }
        return null;
    }

    /** Waits for a leader; a manager that moved tells it where it is now. */
    private void tellAddress() {
        var _ = router.read()
                .thenCompose(state -> {
                    ready.complete(null);
                    Member self = self();
                    CompletableFuture<?> told = self == null || self.address().equals(address)
                            ? CompletableFuture.completedFuture(state)
                            : router.execute(tellManager());
                    return told;
                })
                .whenComplete((told, failure) -> {
                    if (failure != null) {
                        LOG.info("waiting for the other managers: {}", text(CommandRouter.cause(failure)));
                        pause(this::tellAddress);
                    }
                });
    }

    private void pause(Runnable then) {
        synchronized (this) {
            if (closed) {
                return;
            }
            next = then;
        }
        try {
            var _ = ports.executor().schedule(this::goOn, PAUSE.toNanos(), TimeUnit.NANOSECONDS);
        } catch (RejectedExecutionException e) {
            LOG.debug("stopped before taking part in the cluster");
        }
    }

    private void goOn() {
        Runnable then;
        synchronized (this) {
            then = next;
            next = null;
        }
        if (then != null) {
            then.run();
        }
    }

    /** Called by the consensus. */
    @Override
    public void leadershipChanged(Leadership leadership) {
        synchronized (this) {
            if (next == null) {
                return;
            }
        }
        ports.executor().execute(this::goOn);
    }

    private static String text(Throwable reason) {
        return reason instanceof CommandException refusal ? refusal.text() : reason.toString();
    }

    @Override
    public synchronized void close() {
        closed = true;
        next = null;
    }
}
