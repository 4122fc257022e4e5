package io.skep.e2e;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** Runs commands of the machine and takes what they print. */
final class Shell {
    static final Duration COMMAND_TIMEOUT = Duration.ofMinutes(2);

    private Shell() {}

    /** What a command printed and how it ended. */
    record Result(List<String> command, int status, String out, String err) {
        /** Returns the trimmed output of a command that must succeed. */
        String expect() {
            if (status != 0) {
                throw new AssertionError(
                        String.join(" ", command) + " ended with status " + status + ": " + (out + err).strip());
            }
            return out.strip();
        }

        /** Returns the trimmed error text of a command that must fail. */
        String expectFailure() {
            if (status == 0) {
                throw new AssertionError(String.join(" ", command) + " should have failed, but printed: " + out);
            }
            return err.strip();
        }

        List<String> lines() {
            return expect().lines().filter(line -> !line.isBlank()).toList();
        }
    }

    static Result run(String... command) {
        return run(COMMAND_TIMEOUT, Map.of(), List.of(command));
    }

    static Result run(Duration timeout, Map<String, String> environment, List<String> command) {
        try {
            ProcessBuilder builder = new ProcessBuilder(command);
            builder.environment().putAll(environment);
            builder.redirectInput(ProcessBuilder.Redirect.from(new java.io.File("/dev/null")));
            Process process = builder.start();
            CompletableFuture<String> out =
                    CompletableFuture.supplyAsync(() -> read(process.getInputStream()), Thread::startVirtualThread);
            CompletableFuture<String> err =
                    CompletableFuture.supplyAsync(() -> read(process.getErrorStream()), Thread::startVirtualThread);
            if (!process.waitFor(timeout.toMillis(), TimeUnit.MILLISECONDS)) {
                process.destroyForcibly();
                throw new AssertionError(String.join(" ", command) + " did not end within " + timeout.toSeconds()
                        + " s; it printed: " + out.join() + err.join());
            }
            return new Result(command, process.exitValue(), out.join(), err.join());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted in " + command, e);
        }
    }

    private static String read(java.io.InputStream in) {
        try (in) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
