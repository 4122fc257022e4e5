package io.skep.engine.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class ReferenceTest {
    private static final String DIGEST = "sha256:" + "ab".repeat(32);

    @ParameterizedTest
    @CsvSource({
        "bee, docker.io/library/bee:latest, bee:latest",
        "bee:1, docker.io/library/bee:1, bee:1",
        "hive/bee, docker.io/hive/bee:latest, hive/bee:latest",
        "docker.io/bee, docker.io/library/bee:latest, bee:latest",
        "index.docker.io/hive/bee, docker.io/hive/bee:latest, hive/bee:latest",
        "localhost/bee, localhost/bee:latest, localhost/bee:latest",
        "localhost:5000/a/b/c:x, localhost:5000/a/b/c:x, localhost:5000/a/b/c:x",
        "hive.example/bee_1.2--3:T_1, hive.example/bee_1.2--3:T_1, hive.example/bee_1.2--3:T_1",
        "'[::1]:5000/bee', '[::1]:5000/bee:latest', '[::1]:5000/bee:latest'"
    })
    void namesAreCompletedAndShortened(String text, String canonical, String familiar) {
        Reference reference = Reference.parse(text).orLatest();
        assertThat(reference.canonical()).isEqualTo(canonical);
        assertThat(reference.familiar()).isEqualTo(familiar);
        assertThat(Reference.parse(canonical)).isEqualTo(reference);
    }

    @Test
    void aDigestOutweighsATag() {
        Reference reference = Reference.parse("bee:1@" + DIGEST).orLatest();
        assertThat(reference.tag()).isEqualTo("1");
        assertThat(reference.version()).isEqualTo(DIGEST);
        assertThat(reference.canonical()).isEqualTo("docker.io/library/bee@" + DIGEST);
    }

    @ParameterizedTest
    @CsvSource({
        "'', invalid reference format",
        "Bee, must be lowercase",
        "a//b, invalid reference format",
        "bee:, invalid reference format",
        "bee:-x, invalid reference format",
        "../etc/passwd, invalid reference format",
        "bee@sha256:12, invalid reference format",
        "bee@md5:12, invalid reference format",
        "'be e', invalid reference format",
        "_bee, invalid reference format",
        "host:port/bee, invalid reference format"
    })
    void whatIsNoNameIsRefused(String text, String reason) {
        assertThatThrownBy(() -> Reference.parse(text)).hasMessageContaining(reason);
    }

    @Test
    void anIdIsNoNameAndNoNameIsTooLong() {
        assertThatThrownBy(() -> Reference.parse("ab".repeat(32)))
                .hasMessageContaining("cannot specify 64-byte hexadecimal strings");
        assertThatThrownBy(() -> Reference.parse("a".repeat(300))).hasMessageContaining("255");
    }
}
