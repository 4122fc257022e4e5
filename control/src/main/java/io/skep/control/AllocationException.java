package io.skep.control;

/** Something that a network, service or task needs is used up or taken; it may be free later. */
final class AllocationException extends Exception {
    AllocationException(String message) {
        super(message);
    }

    /** Returns what is missing, for the user who waits for it. */
    String text() {
        String message = getMessage();
        return message == null ? "" : message;
    }
}
