package io.skep.certs;

import java.util.Locale;
import java.util.Optional;
import javax.net.ssl.SSLException;
import org.jspecify.annotations.Nullable;

/** Why a peer was refused in a TLS handshake. */
public enum PeerRefusal {
    /** It showed no certificate where one is required. */
    MISSING,
    /** Its certificate was not issued by an authority that is trusted here. */
    UNKNOWN_ISSUER,
    EXPIRED,
    NOT_YET_VALID,
    /** Its certificate was not made for a client, or not for a server. */
    WRONG_PURPOSE,
    /** Its certificate is of another server than the one that was called. */
    WRONG_NAME,
    /** Anything else: damaged, forged, or made with an algorithm that is no longer safe. */
    INVALID;

    /** A refusal and the sentence for the log. */
    public record Reason(PeerRefusal refusal, String message) {}

    /**
     * Looks into a failed handshake for the reason why this side refused the peer.
     *
     * @return empty when the failure has another cause: the peer refused us, spoke no TLS, or went away
     */
    public static Optional<Reason> of(Throwable failure) {
        @Nullable Throwable cause = failure;
        for (int depth = 0; cause != null && depth < 16; depth++) {
            if (cause instanceof PeerRefusedException refused) {
                return Optional.of(new Reason(refused.refusal(), String.valueOf(refused.getMessage())));
            }
            // The JDK refuses a client without a certificate itself, and this text is the only trace it leaves.
            if (cause instanceof SSLException
                    && String.valueOf(cause.getMessage())
                            .toLowerCase(Locale.ROOT)
                            .contains("empty client certificate")) {
                return Optional.of(new Reason(MISSING, "it showed no client certificate"));
            }
            cause = cause.getCause();
        }
        return Optional.empty();
    }
}
