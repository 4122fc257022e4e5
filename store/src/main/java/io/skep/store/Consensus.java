package io.skep.store;

import com.google.protobuf.ByteString;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * The port through which managers agree on one log.
 *
 * <p>Guarantees: an entry whose future completed is on stable storage of a majority and applied here; entries proposed
 * under one term are applied in the order of their proposal, without one missing before another; a state machine sees
 * the same entries in the same order on every manager. Methods never block; futures complete on a thread of the
 * implementation, which must not be held up.
 */
public interface Consensus extends AutoCloseable {
    /** Returns the node id of this manager. */
    String selfId();

    Leadership leadership();

    /** Calls the listener at each change of {@link #leadership()}, in order, on one thread. */
    void onLeadership(LeadershipListener listener);

    /**
     * Appends an entry. The bytes of entries that are proposed and not yet applied are bounded (32 MiB): a proposal
     * beyond that fails with {@link NotLeaderException}, and since later ones must not be applied without it, this
     * manager hands leadership over. Callers keep well below by waiting for former entries.
     *
     * @param term the term in which the caller believes to lead; another term fails with {@link NotLeaderException}
     * @return completed with the index of the entry once it is committed and applied here; fails with
     *     {@link NotLeaderException} when it was surely not appended, and with {@link OutcomeUnknownException} when
     *     leadership was lost before the outcome was known
     */
    CompletableFuture<Long> propose(long term, ByteString entry);

    /**
     * Waits until this manager has applied everything that was committed anywhere when the call began. Works on every
     * manager; fails with {@link NotLeaderException} when no leader confirmed within the time of an election.
     */
    CompletableFuture<Void> readBarrier();

    /** Returns the members as this manager knows them. */
    List<Member> members();

    /** Calls the listener after each change of {@link #members()}, and once at first, on one thread. */
    void onMembers(Runnable listener);

    /**
     * Adds a manager, or gives a known one another address. A new one first receives the log, then gets a vote. Leader
     * only, completes once the vote is committed; that never happens while the manager cannot be reached, so callers
     * bound their wait. Asking again is harmless.
     */
    CompletableFuture<Void> putMember(String nodeId, String address);

    /**
     * Takes a manager out. Leader only; a leader that takes itself out hands over and fails with
     * {@link NotLeaderException}, for the next leader to be asked. Fails with {@link RefusedException} when the others
     * that can be reached would be no majority.
     */
    CompletableFuture<Void> removeMember(String nodeId);

    /**
     * Hands leadership to the most advanced other voter; completes when this manager no longer leads. Fails with
     * {@link RefusedException} when there is none, or when it did not take over in time and this manager leads on.
     */
    CompletableFuture<Void> transferLeadership();

    @Override
    void close();

    /**
     * Who leads.
     *
     * @param term the newest term that this manager knows
     * @param leaderId node id of the leader of that term, or null while there is none
     * @param ready true when this manager leads and has applied every entry of former terms
     */
    record Leadership(long term, @Nullable String leaderId, boolean ready) {}

    /** Hears of changes of leadership. */
    @FunctionalInterface
    interface LeadershipListener {
        void leadershipChanged(Leadership leadership);
    }

    /**
     * One manager of the quorum.
     *
     * @param nodeId its node id, which its certificate proves
     * @param address host:port of its manager API
     * @param voter false while it still receives the log
     * @param leader whether it leads
     * @param reachable whether the leader hears from it
     */
    record Member(String nodeId, String address, boolean voter, boolean leader, boolean reachable) {}

    /** This manager does not lead: the entry was not appended. */
    final class NotLeaderException extends RuntimeException {
        public NotLeaderException(String message) {
            super(message);
        }
    }

    /** Leadership was lost before the outcome was known: the entry may or may not become part of the log. */
    final class OutcomeUnknownException extends RuntimeException {
        public OutcomeUnknownException(String message) {
            super(message);
        }
    }

    /** The request cannot be done as things stand; nothing was changed. */
    final class RefusedException extends RuntimeException {
        public RefusedException(String message) {
            super(message);
        }
    }
}
