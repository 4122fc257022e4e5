package io.skep.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

/** The keys that let a client leave, however they are cut into pieces. */
class DetachKeysTest {
    private static String pass(DetachKeys keys, String typed) {
        return new String(keys.pass(typed.getBytes(StandardCharsets.US_ASCII)), StandardCharsets.US_ASCII);
    }

    @Test
    void theKeysAreFoundAcrossPieces() {
        DetachKeys keys = new DetachKeys("");
        assertThat(pass(keys, "ls\n\u0010")).isEqualTo("ls\n");
        assertThat(keys.left()).isFalse();
        assertThat(pass(keys, "\u0011rest")).isEmpty();
        assertThat(keys.left()).isTrue();
    }

    @Test
    void keysThatOnlyBeginSoAreTypedIn() {
        DetachKeys keys = new DetachKeys("ctrl-a,b,c");
        assertThat(pass(keys, "x\u0001by\u0001")).isEqualTo("x\u0001by");
        assertThat(pass(keys, "\u0001b")).isEqualTo("\u0001");
        assertThat(pass(keys, "z")).isEqualTo("\u0001bz");
        assertThat(keys.left()).isFalse();
    }

    @Test
    void keysThatAreNoneAreRefused() {
        assertThatThrownBy(() -> new DetachKeys("ctrl-1,a"))
                .hasMessage("Invalid detach keys (ctrl-1,a) provided: unknown character: 'ctrl-1'");
    }
}
