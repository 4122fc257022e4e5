package io.skep.engine;

/** Why the engine does not do what it was asked to; the text is for the user. */
public final class EngineException extends RuntimeException {
    /** What kind of answer the user gets. */
    public enum Kind {
        INVALID,
        NOT_FOUND,
        CONFLICT,
        NOT_MODIFIED,
        FORBIDDEN,
        NOT_IMPLEMENTED,
        UNAVAILABLE,
        INTERNAL
    }

    private final Kind kind;

    public EngineException(Kind kind, String message) {
        super(message);
        this.kind = kind;
    }

    public EngineException(Kind kind, String message, Throwable cause) {
        super(message, cause);
        this.kind = kind;
    }

    public Kind kind() {
        return kind;
    }

    /** Returns the text, which is never absent. */
    public String text() {
        return String.valueOf(getMessage());
    }

    static EngineException notFound(String message) {
        return new EngineException(Kind.NOT_FOUND, message);
    }

    static EngineException conflict(String message) {
        return new EngineException(Kind.CONFLICT, message);
    }

    static EngineException invalid(String message) {
        return new EngineException(Kind.INVALID, message);
    }

    static EngineException notModified(String message) {
        return new EngineException(Kind.NOT_MODIFIED, message);
    }

    static EngineException internal(String message, Throwable cause) {
        return new EngineException(Kind.INTERNAL, message, cause);
    }
}
