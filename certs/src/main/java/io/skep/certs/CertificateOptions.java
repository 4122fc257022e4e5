package io.skep.certs;

import java.time.Duration;

/**
 * How certificates for the API are made.
 *
 * @param rsa RSA of 3072 bits instead of ECDSA P-256, for clients and tools that know nothing newer
 * @param validity from now on; never beyond the authority's own end
 * @param port of the engines' API, for the settings that go with the certificates
 * @param installedFolder where a machine will keep its certificates, for the daemon.json beside them
 * @param replace whether a certificate that exists may be replaced
 */
public record CertificateOptions(boolean rsa, Duration validity, int port, String installedFolder, boolean replace) {
    /** How long a certificate is valid unless the caller says otherwise. */
    public static final Duration DEFAULT_VALIDITY = Duration.ofDays(730);

    /** ECDSA, two years, port 2376, {@code /etc/skep/certs}, replacing nothing. */
    public static CertificateOptions defaults() {
        return new CertificateOptions(false, DEFAULT_VALIDITY, 2376, "/etc/skep/certs", false);
    }
}
