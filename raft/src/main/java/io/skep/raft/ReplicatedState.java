package io.skep.raft;

import com.google.protobuf.ByteString;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;

/**
 * What the log keeps equal on all managers. Called by one thread at a time, in the order of the log, except that
 * {@link Frozen#writeTo} runs beside later calls. An exception other than of {@link Frozen#writeTo} ends the manager's
 * part in the log: its state cannot be trusted to be that of the others.
 */
public interface ReplicatedState {
    void apply(long index, ByteString entry);

    Frozen freeze();

    void restore(InputStream in) throws IOException;

    /** A state that does not change any more. */
    interface Frozen {
        void writeTo(OutputStream out) throws IOException;
    }
}
