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

class SignatureChecksTest {
    private final KeyPair keys = PrivateKeys.generateEcdsa();

    private static byte[] sign(KeyPair keys, byte[] text) throws Exception {
        Signature signer = Signature.getInstance(SignatureChecks.ALGORITHM);
        signer.initSign(keys.getPrivate());
        signer.update(text);
        return signer.sign();
    }

    private static boolean check(KeyPair keys, byte[] text, byte[] signature) throws Exception {
        String provider = SignatureChecks.providerFor(SignatureChecks.ALGORITHM, keys.getPublic());
        Signature verifier = Signature.getInstance(SignatureChecks.ALGORITHM, provider);
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
        assertThat(SignatureChecks.providerFor(
                        SignatureChecks.ALGORITHM, generator.generateKeyPair().getPublic()))
                .isNull();
        assertThat(SignatureChecks.providerFor(
                        "SHA256withRSA", PrivateKeys.generateRsa(2048).getPublic()))
                .isNull();
        assertThat(SignatureChecks.providerFor("SHA384withECDSA", keys.getPublic()))
                .isNull();
    }

    @Test
    void isNotChosenByThoseWhoDoNotNameIt() throws Exception {
        assertThat(SignatureChecks.providerFor(SignatureChecks.ALGORITHM, keys.getPublic()))
                .isEqualTo(SignatureChecks.NAME);
        Signature usual = Signature.getInstance(SignatureChecks.ALGORITHM);
        usual.initVerify(keys.getPublic());
        assertThat(usual.getProvider().getName()).isNotEqualTo(SignatureChecks.NAME);
    }
}
