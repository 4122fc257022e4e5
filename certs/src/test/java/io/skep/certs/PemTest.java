package io.skep.certs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.ByteString;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.PrivateKey;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PemTest {
    private static final ByteString KEY_TEXT = ByteString.copyFromUtf8(
            PrivateKeys.encode(PrivateKeys.generateEcdsa().getPrivate()));

    @TempDir
    private Path folder;

    @Property
    void whatIsWrittenIsReadBack(@ForAll byte[] content, @ForAll byte[] more) throws Exception {
        Pem first = new Pem("A THING", Map.of("b-header", "1", "a-header", "2"), ByteString.copyFrom(content));
        Pem second = new Pem("OTHER", more);
        String text = "some words\n" + first.encode() + "between: them\n" + second.encode() + "and after";

        assertThat(Pem.parse(ByteString.copyFromUtf8(text), "test")).containsExactly(first, second);
        assertThat(Pem.parse(ByteString.copyFromUtf8(text.replace("\n", "\r\n")), "test"))
                .containsExactly(first, second);
    }

    @Property
    void anyBytesAreReadOrRefused(@ForAll byte[] noise) {
        readsOrRefuses(ByteString.copyFrom(noise));
    }

    @Property
    void aDamagedKeyIsReadOrRefused(@ForAll @IntRange(max = 300) int position, @ForAll byte replacement) {
        byte[] damaged = KEY_TEXT.toByteArray();
        damaged[position % damaged.length] = replacement;
        readsOrRefuses(ByteString.copyFrom(damaged));
        readsOrRefuses(ByteString.copyFrom(Arrays.copyOf(KEY_TEXT.toByteArray(), position % KEY_TEXT.size())));
    }

    @Property
    void anyContentOfAKnownTypeIsReadOrRefused(@ForAll byte[] noise) {
        for (String type : List.of(
                "PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY")) {
            readsOrRefuses(ByteString.copyFromUtf8(new Pem(type, noise).encode()));
        }
        ByteString certificate = ByteString.copyFromUtf8(new Pem(Pem.CERTIFICATE, noise).encode());
        assertThatThrownBy(() -> Certificates.parse(certificate, "test")).isInstanceOf(CredentialException.class);
        ByteString request = ByteString.copyFromUtf8(new Pem(Pem.CERTIFICATE_REQUEST, noise).encode());
        assertThatThrownBy(() -> CertificateRequest.verifiedKey(request)).isInstanceOf(CredentialException.class);
        ByteString locked = ByteString.copyFromUtf8(new Pem(Pem.ENCRYPTED_PRIVATE_KEY, noise).encode());
        assertThatThrownBy(() -> NodeKeyFile.decode(locked, "test", UnlockKey.generate(new SecureRandom())))
                .isInstanceOf(CredentialException.class);
    }

    private static void readsOrRefuses(ByteString text) {
        try {
            assertThat(PrivateKeys.parse(text, "the file", "secret".toCharArray()))
                    .isNotNull();
        } catch (CredentialException e) {
            assertThat(e.getMessage()).startsWith("the file");
        }
    }

    @Test
    void errorsSayWhatAndWhere() {
        assertThatThrownBy(() -> parse("nothing here")).hasMessageContaining("holds no PEM block");
        assertThatThrownBy(() -> parse("-----BEGIN A-----\nAAAA\n")).hasMessageContaining("the file is cut");
        assertThatThrownBy(() -> parse("x\n-----BEGIN A-----\nAAAA\n-----END B-----"))
                .hasMessageContaining("line 4: the block \"A\" of line 2");
        assertThatThrownBy(() -> parse("-----BEGIN A-----\nA*AA\n-----END A-----"))
                .hasMessageContaining("is not base64");
        assertThatThrownBy(() -> parse("-----BEGIN A-----\na: 1\na: 2\n\n-----END A-----"))
                .hasMessageContaining("stands twice");
    }

    private static List<Pem> parse(String text) throws CredentialException {
        return Pem.parse(ByteString.copyFromUtf8(text), "test");
    }

    @Test
    void everyFormOfKeyThatOpensslWritesIsRead() throws Exception {
        Openssl.run(folder, "genpkey", "-algorithm", "ed25519", "-out", "ed25519");
        Openssl.run(folder, "genrsa", "-out", "rsa", "2048");
        Openssl.run(folder, "genrsa", "-traditional", "-out", "rsa1", "2048");
        Openssl.run(folder, "genrsa", "-aes256", "-passout", "pass:secret", "-out", "rsa-aes", "2048");
        Openssl.run(folder, "genrsa", "-aes256", "-traditional", "-passout", "pass:secret", "-out", "rsa1-aes", "2048");
        Openssl.run(folder, "ecparam", "-name", "prime256v1", "-genkey", "-out", "ec");
        Openssl.run(folder, "ec", "-in", "ec", "-aes128", "-passout", "pass:secret", "-out", "ec-aes");
        Openssl.run(folder, "pkcs8", "-topk8", "-in", "ec", "-passout", "pass:secret", "-out", "ec-pkcs8");

        for (String name : List.of("ed25519", "rsa", "rsa1", "rsa-aes", "rsa1-aes", "ec", "ec-aes", "ec-pkcs8")) {
            ByteString text = ByteString.copyFrom(Files.readAllBytes(folder.resolve(name)));
            assertThat(PrivateKeys.parse(text, name, "secret".toCharArray()))
                    .as(name)
                    .isNotNull();
            boolean encrypted = name.contains("aes") || name.contains("pkcs8");
            assertThat(PrivateKeys.isEncrypted(text, name)).as(name).isEqualTo(encrypted);
            if (encrypted) {
                assertThatThrownBy(() -> PrivateKeys.parse(text, name, null))
                        .hasMessageContaining("its passphrase is needed");
                assertThatThrownBy(() -> PrivateKeys.parse(text, name, "wrong".toCharArray()))
                        .hasMessageContaining(name);
            }
        }
    }

    @Test
    void aWrongPassphraseIsCalledSoEvenWhenThePaddingHappensToFit() throws Exception {
        Openssl.run(folder, "genrsa", "-aes256", "-passout", "pass:secret", "-out", "key", "1024");
        ByteString text = ByteString.copyFrom(Files.readAllBytes(folder.resolve("key")));

        for (int i = 0; i < 1000; i++) {
            char[] wrong = ("wrong" + i).toCharArray();
            assertThatThrownBy(() -> PrivateKeys.parse(text, "key", wrong))
                    .hasMessage("key cannot be decrypted: the passphrase is wrong, or the file is damaged");
        }
    }

    @Test
    void opensslReadsAKeyUnderAPassphrase() throws Exception {
        PrivateKey key = PrivateKeys.generateEcdsa().getPrivate();
        String text = PrivateKeys.encode(key, "größer".toCharArray(), new SecureRandom());
        Files.writeString(folder.resolve("key"), text);

        Openssl.run(folder, "pkey", "-in", "key", "-passin", "pass:größer", "-out", "plain");

        assertThat(PrivateKeys.parse(ByteString.copyFromUtf8(text), "key", "größer".toCharArray()))
                .isEqualTo(key);
        ByteString plain = ByteString.copyFrom(Files.readAllBytes(folder.resolve("plain")));
        assertThat(PrivateKeys.parse(plain, "plain", null)).isEqualTo(key);
    }
}
