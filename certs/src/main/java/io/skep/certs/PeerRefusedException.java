package io.skep.certs;

import java.security.cert.CertificateException;

/** A peer's certificate that was refused, and why. Thrown inside the TLS handshake, so it comes wrapped. */
final class PeerRefusedException extends CertificateException {
    private static final long serialVersionUID = 1;

    private final PeerRefusal refusal;

    PeerRefusedException(PeerRefusal refusal, String message) {
        super(message);
        this.refusal = refusal;
    }

    PeerRefusedException(PeerRefusal refusal, String message, Throwable cause) {
        super(message, cause);
        this.refusal = refusal;
    }

    public PeerRefusal refusal() {
        return refusal;
    }
}
