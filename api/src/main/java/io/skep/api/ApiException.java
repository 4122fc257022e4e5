package io.skep.api;

/** A request that is refused: the HTTP status and the text that the docker CLI prints. */
public final class ApiException extends RuntimeException {
    private final int status;

    /**
     * Makes a refusal.
     *
     * @param status HTTP status, 400 to 599
     * @param message names the thing, the reason and the way out
     */
    public ApiException(int status, String message) {
        super(message);
        if (status < 400 || status > 599) {
            throw new IllegalArgumentException("not an error status: " + status);
        }
        this.status = status;
    }

    public int status() {
        return status;
    }
}
