package io.skep.certs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.Signature;
import java.security.SignatureException;
import java.security.spec.ECGenParameterSpec;
import java.util.Arrays;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

class EllipticSignaturesTest {
    private final KeyPair keys = PrivateKeys.generateEcdsa();

    private static byte[] sign(KeyPair keys, byte[] text) throws Exception {
        Signature signer = Signature.getInstance(EllipticSignatures.ALGORITHM);
        signer.initSign(keys.getPrivate());
        signer.update(text);
        return signer.sign();
    }

    private static boolean check(KeyPair keys, byte[] text, byte[] signature) throws Exception {
        String provider = EllipticSignatures.providerFor(EllipticSignatures.ALGORITHM, keys.getPublic());
        Signature verifier = Signature.getInstance(EllipticSignatures.ALGORITHM, provider);
        verifier.initVerify(keys.getPublic());
        verifier.update(text);
        return verifier.verify(signature);
    }

    @Property(tries = 30)
    void agreesWithTheSignerOfTheJdk(@ForAll byte[] text) throws Exception {
        byte[] signature = sign(keys, text);
        assertThat(check(keys, text, signature)).isTrue();
        byte[] other = Arrays.copyOf(text, text.length + 1);
        assertThat(check(keys, other, signature)).isFalse();
        assertThat(check(PrivateKeys.generateEcdsa(), text, signature)).isFalse();
    }

    @Property(tries = 30)
    void makesSignaturesThatTheJdkTakes(@ForAll byte[] text) throws Exception {
        String provider = EllipticSignatures.providerFor(EllipticSignatures.ALGORITHM, keys.getPrivate());
        Signature signer = Signature.getInstance(EllipticSignatures.ALGORITHM, provider);
        signer.initSign(keys.getPrivate());
        signer.update(text);
        byte[] first = signer.sign();
        signer.update(text);
        byte[] second = signer.sign();
        // The secret number of each signature is another one: two with the same would give the key away.
        assertThat(Arrays.copyOf(second, 36)).isNotEqualTo(Arrays.copyOf(first, 36));
        for (byte[] signature : new byte[][] {first, second}) {
            Signature verifier = Signature.getInstance(EllipticSignatures.ALGORITHM, "SunEC");
            verifier.initVerify(keys.getPublic());
            verifier.update(text);
            assertThat(verifier.verify(signature)).isTrue();
        }
    }

    @Test
    void refusesWhatIsNoSignature() throws Exception {
        byte[] signature = sign(keys, new byte[] {1});
        assertThatThrownBy(() -> check(keys, new byte[] {1}, new byte[] {1, 2, 3}))
                .isInstanceOf(SignatureException.class);
        // r = s = 0, which a careless implementation takes for good.
        assertThat(check(keys, new byte[] {1}, new byte[] {0x30, 6, 2, 1, 0, 2, 1, 0}))
                .isFalse();
        byte[] longer = Arrays.copyOf(signature, signature.length + 1);
        assertThatThrownBy(() -> check(keys, new byte[] {1}, longer)).isInstanceOf(SignatureException.class);
    }

    @Test
    void leavesOtherKeysToTheJdk() throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
        generator.initialize(new ECGenParameterSpec("secp384r1"));
        assertThat(EllipticSignatures.providerFor(
                        EllipticSignatures.ALGORITHM,
                        generator.generateKeyPair().getPublic()))
                .isNull();
        assertThat(EllipticSignatures.providerFor(
                        "SHA256withRSA", PrivateKeys.generateRsa(2048).getPublic()))
                .isNull();
        assertThat(EllipticSignatures.providerFor("SHA384withECDSA", keys.getPublic()))
                .isNull();
    }

    @Test
    void isNotChosenByThoseWhoDoNotNameIt() throws Exception {
        assertThat(EllipticSignatures.providerFor(EllipticSignatures.ALGORITHM, keys.getPublic()))
                .isEqualTo(EllipticSignatures.NAME);
        Signature usual = Signature.getInstance(EllipticSignatures.ALGORITHM);
        usual.initVerify(keys.getPublic());
        assertThat(usual.getProvider().getName()).isNotEqualTo(EllipticSignatures.NAME);
    }
}
