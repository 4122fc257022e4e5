package io.skep.engine;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What a program that runs containers says of itself.
 *
 * @param version empty when it says nothing
 * @param commit empty when it says none
 */
record RuntimeVersion(String version, String commit) {
    private static final Logger LOG = LoggerFactory.getLogger(RuntimeVersion.class);
    private static final int TIMEOUT_SECONDS = 5;
    private static final int ANSWER_BYTES_MAX = 4096;
    private static final Pattern VERSION = Pattern.compile("version:? (\\S+)");
    private static final Pattern COMMIT = Pattern.compile("commit: (\\S+)");

    /** Asks the program. */
    static RuntimeVersion of(String program) throws InterruptedException {
        try {
            Process process = new ProcessBuilder(Engine.program(program).orElse(program), "--version")
                    .redirectErrorStream(true)
                    .start();
            process.getOutputStream().close();
            String answer = new String(process.getInputStream().readNBytes(ANSWER_BYTES_MAX), StandardCharsets.UTF_8);
            if (!process.waitFor(TIMEOUT_SECONDS, TimeUnit.SECONDS)) {
                process.destroyForcibly();
            }
            return parse(answer);
        } catch (IOException e) {
            LOG.debug("{} does not tell its version: {}", program, e.getMessage());
            return new RuntimeVersion("", "");
        }
    }

    static RuntimeVersion parse(String answer) {
        return new RuntimeVersion(first(VERSION, answer), first(COMMIT, answer));
    }

    private static String first(Pattern pattern, String text) {
        Matcher matcher = pattern.matcher(text);
        return matcher.find() ? matcher.group(1) : "";
    }
}
