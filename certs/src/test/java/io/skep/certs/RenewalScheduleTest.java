package io.skep.certs;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.wire.NodeRole;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;

class RenewalScheduleTest {
    private static final Instant NOW = Instant.parse("2026-03-01T12:00:00Z");
    private static final RootCertificateAuthority AUTHORITY = RootCertificateAuthority.create(NOW);
    private static final CertificateRequest REQUEST = CertificateRequest.generate();

    @Property(tries = 100)
    void renewalFallsBetweenHalfAndFourFifthsOfTheLife(
            @ForAll @LongRange(min = 3600, max = 20_000_000) long seconds, @ForAll long seed) throws Exception {
        X509Certificate leaf = Certificates.parse(
                        AUTHORITY.sign(
                                REQUEST.pem(),
                                new NodeIdentity("n", NodeRole.WORKER, "c"),
                                Duration.ofSeconds(seconds),
                                NOW),
                        "test")
                .getFirst();
        Instant start = leaf.getNotBefore().toInstant();
        Duration life = Duration.between(start, leaf.getNotAfter().toInstant());

        Duration age = Duration.between(start, RenewalSchedule.next(leaf, new Random(seed)));

        assertThat(age)
                .isBetween(
                        life.dividedBy(2).minusSeconds(1), life.multipliedBy(4).dividedBy(5));
    }

    @Property
    void retriesWaitLongerButNeverMoreThanAnHour(@ForAll @IntRange(min = 0) int failures, @ForAll long seed) {
        Duration delay = RenewalSchedule.retryDelay(failures, new Random(seed));

        assertThat(delay).isBetween(Duration.ZERO, Duration.ofHours(1));
        if (failures < 5) {
            assertThat(delay).isLessThan(Duration.ofSeconds(5 + 5L * (1 << failures)));
        }
    }
}
