package io.skep.certs;

import static org.assertj.core.api.Assertions.assertThat;

import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ExpiryWarningsTest {
    private static final Instant END = Instant.parse("2026-06-01T12:00:00Z");
    private static final String WHAT = "the server certificate server-cert.pem";

    private final Map<String, X509Certificate> certificates = Map.of(WHAT, certificate(END));
    private final ExpiryWarnings warnings = new ExpiryWarnings();

    private static X509Certificate certificate(Instant end) {
        try {
            Instant start = end.minus(Duration.ofDays(100));
            return authority(end)
                    .server(
                            "pi-1",
                            List.of(HostAddress.parse("pi-1")),
                            ApiCertificateAuthority.KeyType.ECDSA.generate().getPublic(),
                            Duration.ofDays(100),
                            start);
        } catch (CredentialException e) {
            throw new AssertionError(e);
        }
    }

    private static ApiCertificateAuthority authority(Instant end) throws CredentialException {
        return ApiCertificateAuthority.create(
                ApiCertificateAuthority.KeyType.ECDSA, Duration.ofDays(100), end.minus(Duration.ofDays(100)));
    }

    private static Instant before(Duration left) {
        return END.minus(left);
    }

    @Test
    void theSentenceSaysWhatAndWhen() {
        assertThat(ExpiryWarnings.current(certificates, before(Duration.ofDays(31))))
                .isEmpty();
        assertThat(ExpiryWarnings.current(certificates, before(Duration.ofDays(30))))
                .containsExactly(WHAT + " expires in 30 days, on 2026-06-01; if skep made it, renew it with:"
                        + " skep certs renew");
        assertThat(ExpiryWarnings.current(certificates, before(Duration.ofHours(23))))
                .singleElement()
                .asString()
                .contains("expires in 23 hours");
        assertThat(ExpiryWarnings.current(certificates, END.plusSeconds(1)))
                .singleElement()
                .asString()
                .contains("expired on 2026-06-01");
    }

    @Test
    void anAuthorityIsRenewedByItsName() throws Exception {
        Map<String, X509Certificate> authorities =
                Map.of("the CA certificate ca.pem", authority(END).certificate());

        assertThat(ExpiryWarnings.current(authorities, before(Duration.ofDays(3))))
                .containsExactly("the CA certificate ca.pem expires in 3 days, on 2026-06-01; if skep made it, renew it"
                        + " with: skep certs renew ca");
    }

    @Test
    void theLogHearsOfEachLimitOnce() {
        assertThat(warnings.due(certificates, before(Duration.ofDays(40)))).isEmpty();
        assertThat(warnings.due(certificates, before(Duration.ofDays(30)))).hasSize(1);
        assertThat(warnings.due(certificates, before(Duration.ofDays(8)))).isEmpty();
        assertThat(warnings.due(certificates, before(Duration.ofDays(7)))).hasSize(1);
        assertThat(warnings.due(certificates, before(Duration.ofDays(2)))).isEmpty();
        assertThat(warnings.due(certificates, before(Duration.ofDays(1)))).hasSize(1);
        assertThat(warnings.due(certificates, before(Duration.ofHours(1)))).isEmpty();
        assertThat(warnings.due(certificates, END.plusSeconds(1))).hasSize(1);
        assertThat(warnings.due(certificates, END.plusSeconds(2))).isEmpty();
    }

    @Test
    void aNewCertificateIsWarnedAboutAnew() {
        assertThat(warnings.due(certificates, before(Duration.ofDays(3)))).hasSize(1);
        Map<String, X509Certificate> renewed = Map.of(WHAT, certificate(END.plus(Duration.ofDays(60))));

        assertThat(warnings.due(renewed, END)).isEmpty();
        assertThat(warnings.due(renewed, END.plus(Duration.ofDays(55)))).hasSize(1);
    }
}
