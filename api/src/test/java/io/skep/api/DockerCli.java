package io.skep.api;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * A docker command line of this machine, pointed at one server.
 *
 * @param program path of the command
 */
record DockerCli(String program, Map<String, String> environment) {
    /** Returns the commands that this machine has: the newest and, where there is one, that of the distribution. */
    static Stream<String> programs() {
        List<String> found = new ArrayList<>();
        for (String candidate : List.of("/usr/local/bin/docker", "/usr/bin/docker")) {
            if (Files.isExecutable(Path.of(candidate))) {
                found.add(candidate);
            }
        }
        return found.stream();
    }

    static DockerCli on(String program, Path socket) {
        return new DockerCli(program, Map.of("DOCKER_HOST", "unix://" + socket));
    }

    /** What a command did. */
    record Result(int exit, String out, String err) {}

    Result run(String... arguments) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>();
        command.add(program);
        command.addAll(List.of(arguments));
        ProcessBuilder builder = new ProcessBuilder(command);
        builder.environment().keySet().removeIf(name -> name.startsWith("DOCKER_"));
        builder.environment().putAll(environment);
        Path out = Files.createTempFile("docker", "out");
        Path err = Files.createTempFile("docker", "err");
        try {
            Process process = builder.redirectOutput(out.toFile())
                    .redirectError(err.toFile())
                    .start();
            process.getOutputStream().close();
            boolean ended = process.waitFor(60, TimeUnit.SECONDS);
            Result result = new Result(ended ? process.exitValue() : -1, Files.readString(out), Files.readString(err));
            if (!ended) {
                process.destroyForcibly();
                throw new IllegalStateException("did not end: " + command + " " + result);
            }
            return result;
        } finally {
            Files.delete(out);
            Files.delete(err);
        }
    }

    /** Runs a command that must succeed, and returns what it prints. */
    String ok(String... arguments) throws IOException, InterruptedException {
        Result result = run(arguments);
        if (result.exit() != 0) {
            throw new AssertionError(List.of(arguments) + " failed: " + result);
        }
        return result.out();
    }
}
