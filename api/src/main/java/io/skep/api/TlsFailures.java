package io.skep.api;

import io.skep.certs.PeerRefusal;
import java.nio.channels.ClosedChannelException;
import java.util.Locale;

/** Why a TLS handshake failed, in words that say what to do. */
final class TlsFailures {
    private TlsFailures() {}

    /** Returns the precise reason, found anywhere in the chain of causes. */
    static String reason(Throwable failure) {
        return PeerRefusal.of(failure).map(TlsFailures::refusal).orElseGet(() -> other(failure));
    }

    private static String refusal(PeerRefusal.Reason reason) {
        String details = " (" + reason.message() + ")";
        return switch (reason.refusal()) {
            case MISSING -> "the client sent no certificate";
            case UNKNOWN_ISSUER -> "the client certificate was signed by an unknown CA" + details;
            case EXPIRED -> "the client certificate has expired" + details;
            case NOT_YET_VALID -> "the client certificate is not valid yet" + details;
            case WRONG_PURPOSE -> "the client certificate is not meant for clients" + details;
            case WRONG_NAME, INVALID -> "the client certificate cannot be used" + details;
        };
    }

    private static String other(Throwable failure) {
        for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
            String text = String.valueOf(cause.getMessage());
            String lower = text.toLowerCase(Locale.ROOT);
            if (lower.contains("received fatal alert")) {
                return "the client refused this server's certificate or TLS version (" + text + ")";
            }
            if (cause instanceof ClosedChannelException || lower.contains("connection reset")) {
                return "the client closed the connection during the handshake";
            }
            if (lower.contains("handshake timed out")) {
                return "the client did not finish the handshake in time";
            }
        }
        return String.valueOf(failure.getMessage());
    }
}
