package io.skep.engine.image;

import java.io.IOException;

/** What a registry refuses, or why it cannot be asked. */
public final class RegistryException extends IOException {
    /** What kind of refusal it is. */
    public enum Kind {
        NOT_FOUND,
        DENIED,
        /** It may go well another time. */
        UNAVAILABLE,
        INVALID
    }

    private final Kind kind;

    RegistryException(Kind kind, String message) {
        super(message);
        this.kind = kind;
    }

    RegistryException(Kind kind, String message, Throwable cause) {
        super(message, cause);
        this.kind = kind;
    }

    public Kind kind() {
        return kind;
    }
}
