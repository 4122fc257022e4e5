package io.skep.e2e;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * The hosts of one test class, on one switch. Closing it ends every process, namespace, mount and file it made, and
 * fails when something is left.
 */
final class Lab implements AutoCloseable {
    private static final Path HOME = Path.of(System.getProperty("skep.home"));
    private static final List<Lab> OPEN = new CopyOnWriteArrayList<>();

    private final String prefix;
    private final String net;
    private final String cli;
    private final Path state;
    private final Map<Integer, Host> hosts = new TreeMap<>();

    /**
     * Makes a lab.
     *
     * @param prefix begins the names of its hosts; unique among the labs of the machine, at most 6 characters
     * @param net first three octets of its addresses
     */
    Lab(String prefix, String net) {
        this(prefix, net, "docker");
    }

    /** Makes a lab whose engines are asked with another docker CLI than the one that the shell finds first. */
    Lab(String prefix, String net, String cli) {
        this.prefix = prefix;
        this.net = net;
        this.cli = cli;
        this.state = Path.of("/var/tmp/skep-e2e-" + prefix);
        hosts("down");
        OPEN.add(this);
    }

    /** Returns the labs that are not closed yet. */
    static List<Lab> open() {
        return List.copyOf(OPEN);
    }

    String prefix() {
        return prefix;
    }

    String net() {
        return net;
    }

    Path state() {
        return state;
    }

    String tool() {
        return HOME.resolve("bin/lib/hosts").toString();
    }

    String cli() {
        return cli;
    }

    Host add(int number, String... options) {
        List<String> command = new ArrayList<>(List.of("add", String.valueOf(number)));
        command.addAll(List.of(options));
        hosts(command.toArray(String[]::new));
        return hosts.computeIfAbsent(number, key -> new Host(this, key));
    }

    /** Adds a host that runs the newer Docker which {@code bin/test} fetched, beside Debian 12's on the other hosts. */
    Host addNewerDocker(int number) {
        Path root = Path.of(System.getProperty("skep.newer.docker"));
        if (!Files.exists(root.resolve("usr/sbin/dockerd"))) {
            throw new AssertionError("there is no newer Docker in " + root + ": run the tests with bin/test");
        }
        return add(number, "--root", root.toString());
    }

    Host host(int number) {
        Host host = hosts.get(number);
        if (host == null) {
            throw new IllegalArgumentException("there is no host " + number);
        }
        return host;
    }

    List<Host> hosts() {
        return hosts.values().stream()
                .sorted(Comparator.comparingInt(Host::number))
                .toList();
    }

    /** Writes the image that services of tests run, under the names {@code bb:1} and {@code bb:2}. */
    Path image() {
        Path file = state.resolve("image.tar");
        if (!Files.exists(file)) {
            hosts("image", file.toString(), "bb:1", "bb:2", "bb:latest");
        }
        return file;
    }

    Map<String, String> environment() {
        return Map.of("HOSTS_STATE", state.toString(), "HOSTS_PREFIX", prefix, "HOSTS_NET", net);
    }

    String hosts(String... arguments) {
        List<String> command = new ArrayList<>(List.of(tool()));
        command.addAll(List.of(arguments));
        return Shell.run(Shell.COMMAND_TIMEOUT, environment(), command).expect();
    }

    /** Switches hosts off, all at the same moment; what was not synced to their disks is lost. */
    void losePower(List<Host> of) {
        onDisks("powerloss", of);
    }

    /** Makes the disks of hosts fail for good; after {@link #losePower} and power on they work again. */
    void loseDisks(List<Host> of) {
        onDisks("diskloss", of);
    }

    private void onDisks(String verb, List<Host> of) {
        List<String> command = new ArrayList<>(List.of(verb));
        of.forEach(host -> command.add(String.valueOf(host.number())));
        hosts(command.toArray(String[]::new));
    }

    @Override
    public void close() {
        OPEN.remove(this);
        hosts("down");
        hosts("check");
        Shell.run("rm", "-rf", state.toString()).expect();
    }
}
