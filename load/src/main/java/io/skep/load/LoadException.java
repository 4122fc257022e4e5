package io.skep.load;

/** Why the load could not be made or measured, in one line for the user. */
final class LoadException extends Exception {
    LoadException(String message) {
        super(message);
    }

    LoadException(String message, Throwable cause) {
        super(message, cause);
    }
}
