package io.skep.daemon.node;

import com.google.protobuf.ByteString;
import io.skep.agent.LiveCredentials;
import io.skep.certs.NodeCredentials;
import io.skep.raft.KeyRing;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * The keys of a manager's log, kept as secrets beside the node's key and so encrypted with it when the cluster is
 * autolocked. There are two only while the log is written anew with another one.
 */
final class RaftKeys implements KeyRing {
    static final String CURRENT = "raft-dek";
    static final String PREVIOUS = "raft-dek-previous";

    private static final int ID_BYTES = 8;

    private final LiveCredentials credentials;

    /** Takes the keys from credentials that hold at least the current one. */
    RaftKeys(LiveCredentials credentials) {
        this.credentials = credentials;
    }

    /** Returns the credentials with a new current key; the one before is kept for the log that it encrypts. */
    static NodeCredentials withNewKey(NodeCredentials credentials, RandomGenerator random) {
        byte[] secret = new byte[KEY_BYTES];
        random.nextBytes(secret);
        ByteString before = credentials.secrets().get(CURRENT);
        NodeCredentials next = before == null ? credentials : credentials.withSecret(PREVIOUS, before);
        return next.withSecret(CURRENT, ByteString.copyFrom(secret));
    }

    static NodeCredentials withoutPreviousKey(NodeCredentials credentials) {
        return credentials.withoutSecrets(Set.of(PREVIOUS));
    }

    static NodeCredentials withoutKeys(NodeCredentials credentials) {
        return credentials.withoutSecrets(Set.of(CURRENT, PREVIOUS));
    }

    @Override
    public DataKey current() {
        ByteString secret = credentials.current().secrets().get(CURRENT);
        if (secret == null) {
            throw new IllegalStateException("a manager's credentials lack the key of its log");
        }
        return key(secret);
    }

    @Override
    public @Nullable DataKey find(String id) {
        for (String name : List.of(CURRENT, PREVIOUS)) {
            ByteString secret = credentials.current().secrets().get(name);
            if (secret != null) {
                DataKey key = key(secret);
                if (key.id().equals(id)) {
                    return key;
                }
            }
        }
        return null;
    }

    /** The id follows from the key, so a key never gets that of another. */
    private static DataKey key(ByteString secret) {
        try {
            byte[] digest = MessageDigest.getInstance("SHA-256").digest(secret.toByteArray());
            return new DataKey(HexFormat.of().formatHex(digest, 0, ID_BYTES), secret);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("this JDK has no SHA-256", e);
        }
    }
}
