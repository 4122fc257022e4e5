package io.skep.certs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Instant;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JoinTokenTest {
    private static final String DIGEST = "5oaq0bjhj6un82wg98mgigso5q7qlhc63je4gw7ivixqqhkd3p";
    private static final String SECRET = "f5lxx1zz5pnorynqglhzmsp33";
    private static final TrustRoot ROOT = RootCertificateAuthority.create(Instant.parse("2026-01-01T00:00:00Z"))
            .trustRoot();

    @Test
    void numbersAreWrittenAsSwarmKitWritesThem() {
        byte[] sha256 = HexFormat.of().parseHex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        byte[] ones = new byte[16];
        Arrays.fill(ones, (byte) 0xff);
        byte[] one = new byte[16];
        one[15] = 1;

        assertThat(JoinToken.encode(sha256, 50)).isEqualTo(DIGEST);
        assertThat(JoinToken.encode(ones, 25)).isEqualTo(SECRET);
        assertThat(JoinToken.encode(one, 25)).isEqualTo("0000000000000000000000001");
    }

    @Test
    void aTokenBelongsToItsRootOnly() throws Exception {
        JoinToken token = JoinToken.generate(ROOT, new Random(1));

        assertThat(token.text()).startsWith("SWMTKN-1-").hasSize(9 + 50 + 1 + 25);
        assertThat(JoinToken.parse(token.text())).isEqualTo(token);
        assertThat(token.matches(ROOT)).isTrue();
        assertThat(token.matches(RootCertificateAuthority.create(Instant.now()).trustRoot()))
                .isFalse();
    }

    @Test
    void theFormThatDemandsFipsIsRead() throws Exception {
        assertThat(JoinToken.parse("SWMTKN-2-1-" + DIGEST + "-" + SECRET).fips())
                .isTrue();
        assertThat(JoinToken.parse("SWMTKN-2-0-" + DIGEST + "-" + SECRET).fips())
                .isFalse();
        assertThat(JoinToken.parse("SWMTKN-2-1-" + DIGEST + "-" + SECRET).text())
                .isEqualTo("SWMTKN-2-1-" + DIGEST + "-" + SECRET);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "SWMTKN",
                "SWMTKN-1",
                "SWMKEY-1-" + DIGEST + "-" + SECRET,
                "SWMTKN-3-" + DIGEST + "-" + SECRET,
                "SWMTKN-1-" + DIGEST,
                "SWMTKN-1-" + DIGEST + "-" + SECRET + "-",
                "SWMTKN-1-0" + DIGEST + "-" + SECRET,
                "SWMTKN-1-" + DIGEST + "-0" + SECRET,
                "SWMTKN-2-2-" + DIGEST + "-" + SECRET,
                "SWMTKN-1-zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz-" + SECRET,
                "SWMTKN-1-" + DIGEST + "-zzzzzzzzzzzzzzzzzzzzzzzzz",
                "SWMTKN-1-+oaq0bjhj6un82wg98mgigso5q7qlhc63je4gw7ivixqqhkd3p-" + SECRET,
            })
    void whatIsNoTokenIsRefusedWithoutRepeatingIt(String text) {
        assertThatThrownBy(() -> JoinToken.parse(text))
                .isInstanceOf(CredentialException.class)
                .satisfies(
                        e -> assertThat(e.getMessage()).doesNotContain(DIGEST).doesNotContain(SECRET));
    }

    @Test
    void secretsStayOutOfLogs() {
        JoinToken token = JoinToken.generate(ROOT, new Random(1));
        UnlockKey key = UnlockKey.generate(new Random(1));

        assertThat(token.toString()).doesNotContain(token.secret());
        assertThat(key.toString()).isEqualTo("SWMKEY-1-(hidden)");
    }

    @Property
    void anyTextIsEitherATokenOrRefused(@ForAll String text) {
        assertParsesOrRefuses(text);
    }

    @Property
    void aTokenWithOneOtherCharacterIsAnotherTokenOrRefused(
            @ForAll @IntRange(max = 84) int position, @ForAll char replacement) {
        String text = JoinToken.generate(ROOT, new Random(7)).text();
        StringBuilder changed = new StringBuilder(text);
        changed.setCharAt(position, replacement);
        assertParsesOrRefuses(changed.toString());
    }

    private static void assertParsesOrRefuses(String text) {
        try {
            assertThat(JoinToken.parse(text).text()).isEqualTo(text);
        } catch (CredentialException e) {
            assertThat(e).hasMessageContaining("join token");
        }
    }

    @Test
    void unlockKeysKeepTheirBytes() throws Exception {
        UnlockKey key = UnlockKey.generate(new Random(3));

        assertThat(key.text()).startsWith("SWMKEY-1-").hasSize(9 + 43);
        assertThat(UnlockKey.parse(key.text())).isEqualTo(key);
        assertThatThrownBy(() -> UnlockKey.parse(key.text().substring(0, 40))).isInstanceOf(CredentialException.class);
        assertThatThrownBy(() -> UnlockKey.parse("SWMKEY-1-ä")).isInstanceOf(CredentialException.class);
        assertThatThrownBy(() -> UnlockKey.parse("")).isInstanceOf(CredentialException.class);
    }

    @Property
    void identifiersHave25CharactersWhateverTheChance(@ForAll byte[] noise) {
        assertThat(Identifiers.of(Arrays.copyOf(noise, 17))).matches("[0-9a-z]{25}");
    }
}
