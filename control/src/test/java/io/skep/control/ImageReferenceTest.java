package io.skep.control;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ImageReferenceTest {
    private static final String DIGEST = "sha256:" + "0a".repeat(32);

    @ParameterizedTest
    @ValueSource(
            strings = {
                "nginx",
                "nginx:1.27-alpine",
                "team/app",
                "a__b/c.d/e---f",
                "localhost/app",
                "localhost:5000/app:Tag_1",
                "registry.example.com/team/app",
                "Registry.Example.COM:443/app",
                "[2001:db8::1]:5000/app",
                "10.0.0.1:5000/app",
                "app:latest"
            })
    void takesNamesOfImages(String name) {
        assertThat(ImageReference.isValid(name)).isTrue();
        assertThat(ImageReference.isValid(name + "@" + DIGEST)).isTrue();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                " ",
                "App",
                "team/App",
                "a b",
                "app:",
                "app:-1",
                "app@sha256:abc",
                "app@",
                "/app",
                "app/",
                "a//b",
                "a___b",
                "-app",
                "http://host/app",
                "registry_with_underscore.com/App",
                "nginx:1:2"
            })
    void refusesOthers(String name) {
        assertThat(ImageReference.isValid(name)).isFalse();
    }

    @Test
    void refusesWhatLooksLikeAnImageId() {
        assertThat(ImageReference.isValid("0a".repeat(32))).isFalse();
    }

    @Test
    void longNamesTakeNoTime() {
        assertTimeoutPreemptively(Duration.ofSeconds(5), () -> {
            assertThat(ImageReference.isValid("a".repeat(256))).isFalse();
            assertThat(ImageReference.isValid("a-".repeat(127) + "_")).isFalse();
            assertThat(ImageReference.isValid("a".repeat(1 << 20) + "!")).isFalse();
            assertThat(ImageReference.isValid("a@" + "a-".repeat(1 << 20))).isFalse();
            assertThat(ImageReference.isValid("a.".repeat(127) + "!/b")).isFalse();
        });
    }
}
