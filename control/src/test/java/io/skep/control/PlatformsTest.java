package io.skep.control;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.wire.Platform;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PlatformsTest {
    @ParameterizedTest
    @CsvSource({
        "linux, amd64, linux, x86_64, true",
        "linux, x86_64, linux, amd64, true",
        "linux, arm64, linux, aarch64, true",
        "linux, arm64/v8, linux, aarch64, true",
        "linux, arm/v7, linux, armv7l, true",
        "linux, arm/v6, linux, armv7l, true",
        "linux, arm/v7, linux, armv6l, false",
        "linux, armv7, linux, armv7l, true",
        "linux, linux/arm/v7, linux, armv7l, true",
        "'', linux/arm/v7, windows, armv7l, false",
        "linux, arm, linux, armv6l, true",
        "linux, arm/v7, linux, arm, true",
        "linux, arm/v7, linux, aarch64, false",
        "linux, arm64, linux, armv7l, false",
        "linux, amd64, windows, x86_64, false",
        "windows, amd64, windows, AMD64, true",
        "linux, '', linux, riscv64, true",
        "'', amd64, windows, x86_64, true",
        "linux, 386, linux, i686, true",
        "linux, s390x, linux, s390x, true",
        "linux, s390x, linux, ppc64le, false",
    })
    void fitsWhateverTheSpelling(String os, String architecture, String nodeOs, String nodeArchitecture, boolean fits) {
        assertThat(Platforms.match(List.of(platform(os, architecture)), platform(nodeOs, nodeArchitecture)))
                .isEqualTo(fits);
    }

    @Test
    void oneOfSeveralIsEnough() {
        List<Platform> wanted = List.of(platform("linux", "amd64"), platform("linux", "arm/v7"));

        assertThat(Platforms.match(wanted, platform("linux", "armv7l"))).isTrue();
        assertThat(Platforms.match(wanted, platform("linux", "s390x"))).isFalse();
        assertThat(Platforms.match(List.of(), platform("linux", "s390x"))).isTrue();
    }

    private static Platform platform(String os, String architecture) {
        return Platform.newBuilder().setOs(os).setArchitecture(architecture).build();
    }
}
