package io.skep.agent;

import io.skep.certs.CredentialException;
import io.skep.certs.NodeCredentialStore;
import io.skep.certs.NodeCredentials;
import io.skep.certs.TlsIdentity;
import io.skep.certs.TlsMaterial;
import io.skep.certs.UnlockKey;
import java.io.IOException;
import java.time.InstantSource;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The credentials of this node while it runs: on disk, in all its TLS endpoints and in memory the same.
 *
 * <p>A change is saved before anybody sees it; changes exclude each other. Watchers hear of each change in order, on
 * the thread that made it. Safe for use by many threads.
 */
public final class LiveCredentials {
    /** Makes the next credentials from the current ones. */
    @FunctionalInterface
    public interface Change {
        NodeCredentials apply(NodeCredentials current) throws CredentialException;
    }

    private final NodeCredentialStore store;
    private final TlsIdentity tls;
    private final List<Consumer<NodeCredentials>> watchers = new CopyOnWriteArrayList<>();
    private volatile NodeCredentials current;
    private @Nullable UnlockKey unlockKey;

    /**
     * Takes credentials that are on disk already.
     *
     * @param unlockKey what the files are encrypted with, or null
     */
    public LiveCredentials(
            NodeCredentialStore store, NodeCredentials initial, @Nullable UnlockKey unlockKey, InstantSource clock) {
        this.store = store;
        this.current = initial;
        this.unlockKey = unlockKey;
        this.tls = new TlsIdentity(TlsMaterial.of(initial), clock);
    }

    public NodeCredentials current() {
        return current;
    }

    /** What this node shows and trusts in TLS; follows every change. */
    public TlsIdentity tls() {
        return tls;
    }

    /** Returns what the files are encrypted with, or null. */
    public synchronized @Nullable UnlockKey unlockKey() {
        return unlockKey;
    }

    /** Calls the watcher after each change from now on. */
    public void watch(Consumer<NodeCredentials> watcher) {
        watchers.add(watcher);
    }

    /** Replaces the credentials. */
    public synchronized void change(Change change) throws CredentialException, IOException {
        NodeCredentials next = change.apply(current);
        store.save(next, unlockKey);
        install(next);
    }

    /**
     * Encrypts the files with another key, or with none.
     *
     * @param version of the cluster's unlock keys
     */
    public synchronized void lockWith(@Nullable UnlockKey key, long version) throws IOException {
        NodeCredentials next = current.withKeyEncryptionVersion(version);
        store.save(next, key);
        unlockKey = key;
        install(next);
    }

    private void install(NodeCredentials next) {
        current = next;
        tls.replace(TlsMaterial.of(next));
        for (Consumer<NodeCredentials> watcher : watchers) {
            watcher.accept(next);
        }
    }
}
