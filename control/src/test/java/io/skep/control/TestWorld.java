package io.skep.control;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.Message;
import io.skep.store.ClusterState;
import io.skep.store.Kind;
import io.skep.store.Store;
import io.skep.store.Transaction;
import io.skep.wire.LogEntry;
import io.skep.wire.LogTransaction;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;

/**
 * A leader's state under a clock that tests move, beside a follower that applies the leader's log: after each commit
 * both must hold the same.
 */
final class TestWorld {
    private final Store follower = new Store();
    private ClusterState head = ClusterState.empty();
    private Instant now = TestKit.START;

    ClusterState state() {
        return head;
    }

    Instant now() {
        return now;
    }

    void pass(Duration time) {
        now = now.plus(time);
    }

    Transaction begin() {
        return new Transaction(head, now);
    }

    /** Makes changes and commits them. */
    void change(Consumer<Transaction> changes) {
        Transaction transaction = begin();
        changes.accept(transaction);
        commit(transaction);
    }

    /** Makes the transaction the newest state, here and, through its log, at the follower. */
    void commit(Transaction transaction) {
        LogTransaction logged = transaction.toLog();
        long base = head.version();
        head = transaction.commit();
        LogEntry entry = LogEntry.newBuilder()
                .setBaseVersion(base)
                .setAt(Times.timestamp(now))
                .addTransactions(logged)
                .build();
        follower.apply(head.version(), entry.toByteString());
        assertSame(follower.state(), head);
    }

    /** Fails unless two states hold the same objects under the same version. */
    static void assertSame(ClusterState actual, ClusterState expected) {
        assertThat(actual.version()).isEqualTo(expected.version());
        for (Kind<?> kind : Kind.ALL) {
            assertThat(objects(actual, kind)).isEqualTo(objects(expected, kind));
        }
    }

    private static <T extends Message> Map<String, T> objects(ClusterState state, Kind<T> kind) {
        Map<String, T> objects = new TreeMap<>();
        state.table(kind).values().forEach(object -> objects.put(kind.id(object), object));
        return objects;
    }
}
