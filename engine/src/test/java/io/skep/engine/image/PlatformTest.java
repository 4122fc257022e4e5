package io.skep.engine.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class PlatformTest {
    @ParameterizedTest
    @CsvSource({
        "linux/amd64, linux/amd64",
        "linux/x86_64, linux/amd64",
        "linux/amd64/v1, linux/amd64",
        "linux/amd64/v3, linux/amd64/v3",
        "LINUX/aarch64, linux/arm64",
        "linux/arm64/v8, linux/arm64",
        "linux/arm, linux/arm/v7",
        "linux/armhf, linux/arm/v7",
        "linux/arm/6, linux/arm/v6",
        "windows(10.0.17763.1)/amd64, windows(10.0.17763.1)/amd64",
        "s390x, linux/s390x"
    })
    void spellingsAreMadeOne(String text, String normal) {
        assertThat(Platform.parse(text)).hasToString(normal);
    }

    @ParameterizedTest
    @CsvSource({
        "hive, unknown operating system or architecture",
        "a/b/c/d, cannot parse",
        "li nux/arm, invalid component"
    })
    void whatIsNoPlatformIsRefused(String text, String reason) {
        assertThatThrownBy(() -> Platform.parse(text)).hasMessageContaining(reason);
    }

    @ParameterizedTest
    @CsvSource({
        "linux/amd64, linux/amd64, true",
        "linux/amd64, linux/amd64/v2, false",
        "linux/amd64/v3, linux/amd64/v2, true",
        "linux/amd64, linux/arm64, false",
        "linux/arm64, linux/arm/v7, false",
        "linux/arm/v7, linux/arm/v6, true",
        "linux/arm/v6, linux/arm/v7, false",
        "linux/riscv64, linux/riscv64, true",
        "linux/amd64, windows/amd64, false",
        "windows(10.0.17763.1)/amd64, windows(10.0.17763.999)/amd64, true",
        "windows(10.0.17763.1)/amd64, windows(10.0.20348.1)/amd64, false"
    })
    void imagesRunOnWhatTheyAreMadeFor(String host, String image, boolean runs) {
        assertThat(Platform.parse(host).distance(Platform.parse(image), false) != Platform.UNUSABLE)
                .isEqualTo(runs);
    }

    @Test
    void theNearestIsTheBest() {
        Platform arm = Platform.parse("linux/arm/v7");
        assertThat(arm.distance(Platform.parse("linux/arm/v7"), false))
                .isLessThan(arm.distance(Platform.parse("linux/arm/v5"), false));
        Platform amd = Platform.parse("linux/amd64");
        assertThat(amd.distance(Platform.parse("linux/386"), true)).isPositive().isLessThan(Platform.UNUSABLE);
        Platform needing = new Platform("linux", "amd64", "", "", List.of("sse4"));
        assertThat(new Platform("linux", "amd64", "", "", List.of("none")).distance(needing, false))
                .isEqualTo(Platform.UNUSABLE);
    }
}
