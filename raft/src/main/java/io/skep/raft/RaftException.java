package io.skep.raft;

/** A request to the log failed. */
public final class RaftException extends RuntimeException {
    /** Why. */
    public enum Kind {
        /** Surely without effect: this manager does not lead, or no leader could be asked. */
        NOT_LEADER,
        /** Leadership was lost before the outcome was known. */
        UNKNOWN,
        /** Surely without effect: it cannot be done as things stand. */
        REFUSED
    }

    private final Kind kind;

    RaftException(Kind kind, String message) {
        super(message, null, false, false);
        this.kind = kind;
    }

    public Kind kind() {
        return kind;
    }
}
