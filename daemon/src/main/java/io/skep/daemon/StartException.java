package io.skep.daemon;

/** A reason why the daemon cannot start that the user can do something about, in one line. */
final class StartException extends Exception {
    StartException(String message) {
        super(message);
    }

    StartException(String message, Throwable cause) {
        super(message, cause);
    }
}
