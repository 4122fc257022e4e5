package io.skep.agent;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A real Docker Engine that is a manager, on a host of its own (bin/lib/hosts), asked with the docker CLI. */
final class StockManager implements AutoCloseable {
    private static final Path HOSTS = Path.of(System.getProperty("skep.home"), "bin", "lib", "hosts");
    private static final Path STATE = Path.of("/var/tmp/skep-agent-test");
    private static final String NET = "10.81.1";

    private final String socket;

    StockManager() throws IOException, InterruptedException {
        hosts("down");
        hosts("add", "1");
        socket = hosts("socket", "1");
        String folder = hosts("folder", "1");
        hosts(
                "start",
                "1",
                "--",
                "dockerd",
                "--data-root",
                folder + "/data",
                "-H",
                "unix://" + socket,
                "--pidfile",
                "/run/docker.pid",
                "--cgroup-parent",
                hosts("cgroup", "1"));
        hosts("wait", "1", "/_ping");
        docker("swarm", "init", "--advertise-addr", NET + ".1");
    }

    String address() {
        return NET + ".1:2377";
    }

    String workerToken() throws IOException, InterruptedException {
        return docker("swarm", "join-token", "-q", "worker");
    }

    String managerToken() throws IOException, InterruptedException {
        return docker("swarm", "join-token", "-q", "manager");
    }

    /** Kills the engine and starts it again. */
    void restart() throws IOException, InterruptedException {
        hosts("kill", "1");
        hosts("restart", "1");
        hosts("wait", "1", "/_ping");
    }

    String docker(String... arguments) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of("docker", "-H", "unix://" + socket));
        command.addAll(List.of(arguments));
        return run(command);
    }

    private static String hosts(String... arguments) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(HOSTS.toString()));
        command.addAll(List.of(arguments));
        return run(command);
    }

    private static String run(List<String> command) throws IOException, InterruptedException {
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().put("HOSTS_STATE", STATE.toString());
        builder.environment().put("HOSTS_PREFIX", "skagt");
        builder.environment().put("HOSTS_NET", NET);
        Path output = Files.createTempFile("skep-agent-test", ".out");
        try {
            Process process = builder.redirectOutput(output.toFile()).start();
            int status = process.waitFor();
            String text = Files.readString(output, StandardCharsets.UTF_8).strip();
            if (status != 0) {
                throw new AssertionError(String.join(" ", command) + " ended with " + status + ": " + text);
            }
            return text;
        } finally {
            Files.deleteIfExists(output);
        }
    }

    @Override
    public void close() throws IOException, InterruptedException {
        hosts("down");
        hosts("check");
    }
}
