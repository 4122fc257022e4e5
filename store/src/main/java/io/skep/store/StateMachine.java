package io.skep.store;

import com.google.protobuf.ByteString;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;

/**
 * What consensus keeps equal on all managers. All methods are called by one thread of the consensus, in the order of
 * the log, except that {@link Snapshot#writeTo} may run beside later calls.
 */
public interface StateMachine {
    /** Applies one committed entry. The same entries in the same order give the same state everywhere. */
    void apply(long index, ByteString entry);

    /** Returns the current state, to be written while later entries are applied. */
    Snapshot snapshot();

    /** Replaces the state by one that {@link Snapshot#writeTo} wrote. */
    void restore(InputStream in) throws IOException;

    /** A state that does not change any more. */
    interface Snapshot {
        void writeTo(OutputStream out) throws IOException;
    }
}
