package io.skep.daemon;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.time.Instant;
import org.junit.jupiter.api.Test;
import org.tinylog.Level;

class StandardErrorLogTest {
    private static final Instant TIME = Instant.parse("2026-11-22T17:00:00.5Z");

    @Test
    void aLineHasTheFormOfDockerdsLog() {
        assertThat(StandardErrorLog.plain(TIME, Level.WARN, "a \"b\" \\ c", null))
                .isEqualTo("time=\"2026-11-22T17:00:00.500000Z\" level=warning msg=\"a \\\"b\\\" \\\\ c\"\n");
        assertThat(StandardErrorLog.json(TIME, Level.INFO, "a\tb", null))
                .isEqualTo("{\"level\":\"info\",\"msg\":\"a\\tb\",\"time\":\"2026-11-22T17:00:00.500000Z\"}\n");
    }

    @Test
    void noMessageStartsALineOfItsOwn() {
        String forged = "x\ntime=\"\" level=error msg=\"forged\"\u001b[2J\u0085";
        assertThat(StandardErrorLog.plain(TIME, Level.INFO, forged, null).lines())
                .hasSize(1);
        assertThat(StandardErrorLog.plain(TIME, Level.INFO, forged, null)).contains("\\u001b[2J\\u0085");
        assertThat(StandardErrorLog.json(TIME, Level.ERROR, forged, new IOException(forged))
                        .lines())
                .hasSize(1);
    }

    @Test
    void causesAreOneLineUnlessItIsAnError() {
        Exception failure = new IllegalStateException("outer", new IOException());
        assertThat(StandardErrorLog.plain(TIME, Level.WARN, "m", failure))
                .endsWith("msg=\"m\" error=\"outer: IOException\"\n")
                .hasLineCount(1);
        assertThat(StandardErrorLog.plain(TIME, Level.ERROR, "m", failure))
                .contains("error=\"outer: IOException\"\n", "\tat io.skep.daemon.StandardErrorLogTest");
    }
}
