package io.skep.certs;

/**
 * A certificate, key, token or file of them that cannot be used. The message names the thing and the reason, and where
 * there is one the way out; it never contains secret material.
 */
public final class CredentialException extends Exception {
    public CredentialException(String message) {
        super(message);
    }

    public CredentialException(String message, Throwable cause) {
        super(message, cause);
    }
}
