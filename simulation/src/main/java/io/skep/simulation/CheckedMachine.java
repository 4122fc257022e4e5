package io.skep.simulation;

import com.google.protobuf.ByteString;
import io.skep.store.Commit;
import io.skep.store.StateMachine;
import io.skep.store.Store;
import java.io.IOException;
import java.io.InputStream;
import org.jspecify.annotations.Nullable;

/** The state of one manager, with each step shown to the invariants before anybody acts on it. */
final class CheckedMachine implements StateMachine {
    private final String manager;
    private final Store store;
    private final Invariants invariants;
    private long index;
    private @Nullable ByteString entry;

    CheckedMachine(String manager, Store store, Invariants invariants) {
        this.manager = manager;
        this.store = store;
        this.invariants = invariants;
        // The first watcher sees a commit before those of the control plane.
        var _ = store.watch(this::committed);
    }

    private void committed(Commit commit) {
        ByteString applied = entry;
        if (commit.reset() || applied == null) {
            invariants.restored(manager, commit.after());
        } else {
            invariants.committed(manager, index, applied, commit);
        }
    }

    @Override
    public void apply(long newIndex, ByteString newEntry) {
        index = newIndex;
        entry = newEntry;
        store.apply(newIndex, newEntry);
        entry = null;
    }

    @Override
    public Snapshot snapshot() {
        return store.snapshot();
    }

    @Override
    public void restore(InputStream in) throws IOException {
        store.restore(in);
    }
}
