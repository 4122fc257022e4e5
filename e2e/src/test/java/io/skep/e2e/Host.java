package io.skep.e2e;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** One machine of a {@link Lab}: namespaces with an address, an engine and its docker socket. */
final class Host {
    private final Lab lab;
    private final int number;

    Host(Lab lab, int number) {
        this.lab = lab;
        this.number = number;
    }

    int number() {
        return number;
    }

    String address() {
        return hosts("address");
    }

    /** Host name, as {@code docker node ls} shows it. */
    String name() {
        return lab.prefix() + number;
    }

    Path folder() {
        return Path.of(hosts("folder"));
    }

    Path log() {
        return Path.of(hosts("log"));
    }

    String socket() {
        return "unix://" + hosts("socket");
    }

    /** Returns the API of the engine of this host. */
    SocketApi api() {
        return new SocketApi(Path.of(hosts("socket")));
    }

    /** Starts an engine that answers on the socket of this host and waits for it. */
    void start(Engine engine, String... flags) {
        List<String> command = new ArrayList<>(List.of("start", String.valueOf(number), "--"));
        command.addAll(engine.command(this, hosts("cgroup")));
        command.addAll(List.of(flags));
        lab.hosts(command.toArray(String[]::new));
        hosts("wait");
    }

    /** Starts Skep as a node that runs containers itself. */
    void startWithContainers(String... flags) {
        List<String> command = new ArrayList<>(List.of("start", String.valueOf(number), "--"));
        command.addAll(Engine.withContainers(this, hosts("cgroup")));
        command.addAll(List.of(flags));
        lab.hosts(command.toArray(String[]::new));
        hosts("wait");
    }

    /** Starts the engine as before, and does not wait for it. */
    void begin() {
        hosts("restart");
    }

    void restart() {
        begin();
        hosts("wait");
    }

    void stop() {
        hosts("stop");
    }

    /** kill -9 of the engine; its containers may live on. */
    void kill() {
        hosts("kill");
    }

    /** Stops the engine without ending it; it does nothing until {@link #resume}. */
    void pause() {
        hosts("pause");
    }

    void resume() {
        hosts("resume");
    }

    /** Whether the engine runs, or is paused. */
    boolean runs() {
        return Shell.run(Shell.COMMAND_TIMEOUT, lab.environment(), List.of(lab.tool(), "pid", String.valueOf(number)))
                        .status()
                == 0;
    }

    void powerOff() {
        hosts("poweroff");
    }

    void powerOn() {
        hosts("poweron");
    }

    void cut() {
        hosts("cut");
    }

    void mend() {
        hosts("mend");
    }

    void readdress(String address) {
        lab.hosts("readdress", String.valueOf(number), address);
    }

    /** Runs a command inside the host. */
    Shell.Result exec(String... command) {
        List<String> all = new ArrayList<>(List.of(lab.tool(), "exec", String.valueOf(number)));
        all.addAll(List.of(command));
        return Shell.run(Shell.COMMAND_TIMEOUT, lab.environment(), all);
    }

    /** Runs the docker CLI against the engine of this host. */
    Shell.Result docker(String... arguments) {
        return docker(Shell.COMMAND_TIMEOUT, arguments);
    }

    Shell.Result docker(Duration timeout, String... arguments) {
        List<String> command = new ArrayList<>(List.of(lab.cli(), "-H", socket()));
        command.addAll(List.of(arguments));
        return Shell.run(timeout, Map.of("DOCKER_CONFIG", lab.state() + "/docker-config"), command);
    }

    /** Returns the addresses of the managers that the engine of this host knows. */
    List<String> managers() {
        return docker("info", "--format", "{{range .Swarm.RemoteManagers}}{{println .Addr}}{{end}}")
                .lines();
    }

    void load(Path image) {
        docker("load", "-q", "-i", image.toString()).expect();
    }

    /** Returns which nodes and services the engine of this host knows, and the end of its log. */
    String evidence() {
        String script = """
                timeout 5 "$0" -H "$1" node ls 2>&1
                timeout 5 "$0" -H "$1" service ls -q 2>/dev/null | head -n 20 | xargs -r timeout 10 "$0" -H "$1" service ps --no-trunc
                grep -vE 'level=(debug|info.*(module=grpc|DNS))|kernel parameter|shim|containerd|plugin|load(ing|er)' "$2" | tail -n 60 | cut -c 1-400
                """;
        return Shell.run("bash", "-c", script, lab.cli(), socket(), log().toString())
                .out();
    }

    private String hosts(String verb) {
        return lab.hosts(verb, String.valueOf(number));
    }
}
