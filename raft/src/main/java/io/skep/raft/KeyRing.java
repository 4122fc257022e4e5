package io.skep.raft;

import com.google.protobuf.ByteString;
import org.jspecify.annotations.Nullable;

/**
 * The keys that the files of the log are encrypted with. Called at any time by threads of the log; what it returns may
 * change: a new current key is used from the next write on.
 */
public interface KeyRing {
    /** Length of a key, in bytes. */
    int KEY_BYTES = 32;

    /** Returns the key for new files. */
    DataKey current();

    /** Returns the key of that id, or null when it is not known (any more). */
    @Nullable
    DataKey find(String id);

    /**
     * One key.
     *
     * @param id its name, 1 to 64 bytes of UTF-8, written in clear text into each file; never given to another key
     * @param secret {@link #KEY_BYTES} bytes
     */
    record DataKey(String id, ByteString secret) {
        public DataKey {
            if (secret.size() != KEY_BYTES) {
                throw new IllegalArgumentException("a data key has " + KEY_BYTES + " bytes, not " + secret.size());
            }
        }

        @Override
        public String toString() {
            return "DataKey[" + id + "]";
        }
    }
}
