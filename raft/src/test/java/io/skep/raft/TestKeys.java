package io.skep.raft;

import com.google.protobuf.ByteString;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** A key ring in memory. */
final class TestKeys implements KeyRing {
    private final Map<String, DataKey> keys = new HashMap<>();
    private String current;

    TestKeys() {
        this("first", 1);
    }

    TestKeys(String id, int fill) {
        this.current = id;
        rotate(id, fill);
    }

    synchronized void rotate(String id, int fill) {
        byte[] secret = new byte[KEY_BYTES];
        Arrays.fill(secret, (byte) fill);
        keys.put(id, new DataKey(id, ByteString.copyFrom(secret)));
        current = id;
    }

    synchronized void forget(String id) {
        keys.remove(id);
    }

    @Override
    public synchronized DataKey current() {
        DataKey key = keys.get(current);
        if (key == null) {
            throw new IllegalStateException("no current key");
        }
        return key;
    }

    @Override
    public synchronized @Nullable DataKey find(String id) {
        return keys.get(id);
    }
}
