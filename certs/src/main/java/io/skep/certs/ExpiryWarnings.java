package io.skep.certs;

import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Warnings that certificates are about to expire, from 30, 7 and 1 days before.
 *
 * <p>{@link #current} is the state, for {@code docker info}; {@link #due} gives each warning once per certificate and
 * limit, for the log, however often it is called. Safe for use by many threads.
 */
public final class ExpiryWarnings {
    private static final List<Integer> LIMITS_DAYS = List.of(1, 7, 30);
    private static final int EXPIRED = 0;
    private static final String ADVICE = "; if skep made it, renew it with: skep certs renew";

    /** For each name, which certificate was warned about and at which limit. */
    private final Map<String, Warned> warned = new HashMap<>();

    private record Warned(X509Certificate certificate, int limitDays) {}

    /**
     * The warnings that hold at that time, one sentence each.
     *
     * @param certificates by what they are, such as {@code the API's server certificate
     *     /etc/skep/certs/server-cert.pem}
     */
    public static List<String> current(Map<String, X509Certificate> certificates, Instant now) {
        List<String> warnings = new ArrayList<>();
        certificates.forEach((what, certificate) -> {
            if (limit(certificate, now).isPresent()) {
                warnings.add(sentence(what, certificate, now));
            }
        });
        return warnings;
    }

    /** Those of the current warnings that were not given before at the same limit. */
    public synchronized List<String> due(Map<String, X509Certificate> certificates, Instant now) {
        List<String> warnings = new ArrayList<>();
        warned.keySet().retainAll(certificates.keySet());
        certificates.forEach((what, certificate) -> {
            Optional<Integer> limit = limit(certificate, now);
            if (limit.isEmpty()) {
                warned.remove(what);
            } else if (!new Warned(certificate, limit.get()).equals(warned.get(what))) {
                warned.put(what, new Warned(certificate, limit.get()));
                warnings.add(sentence(what, certificate, now));
            }
        });
        return warnings;
    }

    private static Optional<Integer> limit(X509Certificate certificate, Instant now) {
        Duration left = left(certificate, now);
        if (left.isNegative()) {
            return Optional.of(EXPIRED);
        }
        return LIMITS_DAYS.stream()
                .filter(days -> left.compareTo(Duration.ofDays(days)) <= 0)
                .findFirst();
    }

    private static String sentence(String what, X509Certificate certificate, Instant now) {
        Instant end = certificate.getNotAfter().toInstant();
        Duration left = left(certificate, now);
        LocalDate day = LocalDate.ofInstant(end, ZoneOffset.UTC);
        String advice =
                Certificates.isAuthority(certificate) ? ADVICE + " " + CertificateFolder.AUTHORITY_NAME : ADVICE;
        if (left.isNegative()) {
            return what + " expired on " + day + advice;
        }
        String time = left.toDays() >= 2 ? left.toDays() + " days" : left.toHours() + " hours";
        return what + " expires in " + time + ", on " + day + advice;
    }

    private static Duration left(X509Certificate certificate, Instant now) {
        return Duration.between(now, certificate.getNotAfter().toInstant());
    }
}
