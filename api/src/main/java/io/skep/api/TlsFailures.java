package io.skep.api;

import java.security.cert.CertPathBuilderException;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertificateExpiredException;
import java.security.cert.CertificateNotYetValidException;
import java.util.Locale;
import javax.net.ssl.SSLHandshakeException;

/** Why a TLS handshake failed, in words that say what to do. */
final class TlsFailures {
    private TlsFailures() {}

    /** Returns the precise reason, found anywhere in the chain of causes. */
    static String reason(Throwable failure) {
        CertPathValidatorException.BasicReason path = null;
        boolean noPath = false;
        for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
            String text = String.valueOf(cause.getMessage());
            String lower = text.toLowerCase(Locale.ROOT);
            switch (cause) {
                case CertificateExpiredException expired -> {
                    return "the client certificate has expired (" + text + ")";
                }
                case CertificateNotYetValidException early -> {
                    return "the client certificate is not valid yet (" + text + ")";
                }
                case CertPathValidatorException invalid -> {
                    if (invalid.getReason() instanceof CertPathValidatorException.BasicReason reason) {
                        path = reason;
                    }
                    noPath = true;
                }
                case CertPathBuilderException unknown -> noPath = true;
                case SSLHandshakeException handshake -> {
                    if (lower.contains("empty client certificate chain")) {
                        return "the client sent no certificate";
                    }
                    if (lower.contains("unable to find valid certification path")) {
                        noPath = true;
                    }
                    if (lower.contains("received fatal alert")) {
                        return "the client refused this server's certificate or TLS version (" + text + ")";
                    }
                }
                default -> {
                    if (lower.contains("extended key usage does not permit")) {
                        return "the client certificate is not meant for clients (" + text + ")";
                    }
                    if (cause instanceof java.nio.channels.ClosedChannelException
                            || lower.contains("connection reset")) {
                        return "the client closed the connection during the handshake";
                    }
                    if (lower.contains("handshake timed out")) {
                        return "the client did not finish the handshake in time";
                    }
                    if (lower.contains("received fatal alert")) {
                        return "the client refused this server's certificate or TLS version (" + text + ")";
                    }
                }
            }
        }
        if (path == CertPathValidatorException.BasicReason.EXPIRED) {
            return "the client certificate has expired";
        }
        if (path == CertPathValidatorException.BasicReason.INVALID_SIGNATURE || noPath) {
            return "the client certificate was signed by an unknown CA";
        }
        return String.valueOf(failure.getMessage());
    }
}
