package io.skep.raft;

import java.io.IOException;

/** The files of the log cannot be used; the message names the file, the reason and the way out. */
public final class RaftStorageException extends IOException {
    /** What is wrong. */
    public enum Reason {
        /** A file holds what was never written to it, or one is missing. */
        DAMAGED,
        /** A file was encrypted with a key that is not at hand. */
        WRONG_KEY,
        /** Another process uses the directory. */
        IN_USE,
        /** There is no log yet where there should be one, or one where there should be none. */
        UNEXPECTED
    }

    private final Reason reason;

    RaftStorageException(Reason reason, String message) {
        super(message);
        this.reason = reason;
    }

    public Reason reason() {
        return reason;
    }
}
