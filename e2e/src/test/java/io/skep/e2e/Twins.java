package io.skep.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Two clusters of one manager and one worker each, alike but for their manager: Skep, and a stock Docker Engine. Both
 * get the same commands, and must give the same answers but for what is drawn by lot or by the clock.
 */
final class Twins implements AutoCloseable {
    private static final Pattern WORD = Pattern.compile("'([^']*)'|(\\S+)");

    private final Lab skep;
    private final Lab docker;

    /** Makes the hosts and starts their engines, which are in no swarm yet; all are asked with that docker CLI. */
    Twins(String cli) {
        skep = new Lab("opsk", "10.95.4", cli);
        docker = new Lab("opdk", "10.95.5", cli);
        CompletableFuture<Void> other = CompletableFuture.runAsync(
                () -> start(docker, docker.addNewerDocker(1), Engine.DOCKER), Thread::startVirtualThread);
        start(skep, skep.add(1), Engine.SKEP);
        other.join();
    }

    private static void start(Lab lab, Host manager, Engine engine) {
        manager.start(engine);
        Host worker = lab.add(2);
        worker.start(Engine.DOCKER);
        worker.load(lab.image());
    }

    /** Runs a command on both managers and returns what both answered. */
    Shell.Result same(String line) {
        return same(1, line);
    }

    /**
     * Runs a command on both and returns what both answered.
     *
     * @param host number of the host in each cluster that is asked
     * @param line arguments of docker; {@code 'x y'} is one, {@code {net}} and {@code {host}} begin addresses and names
     */
    Shell.Result same(int host, String line) {
        CompletableFuture<Shell.Result> other =
                CompletableFuture.supplyAsync(() -> run(docker, host, line), Thread::startVirtualThread);
        Shell.Result actual = run(skep, host, line);
        Shell.Result expected = other.join();
        assertThat(actual.status() + "\n" + actual.out() + actual.err())
                .as(line)
                .isEqualTo(expected.status() + "\n" + expected.out() + expected.err());
        return actual;
    }

    /**
     * Returns the events since then that both tell: "action map[attribute:value …]". Changes without an attribute but
     * the name are left out: how often an object is written on its way is each manager's own affair.
     */
    List<String> events(Instant since, String filters) {
        String line = "events --since " + since.getEpochSecond() + " --until "
                + Instant.now().plusSeconds(2).getEpochSecond() + " " + filters
                + " --format '{{.Type}} {{.Action}} {{.Actor.Attributes}}'";
        List<String> expected = meant(run(docker, 1, line));
        assertThat(meant(run(skep, 1, line))).as(line).isEqualTo(expected);
        return expected;
    }

    private static List<String> meant(Shell.Result events) {
        return events.lines().stream()
                .filter(event -> !event.matches("\\w+ update map\\[name:\\S*]"))
                .toList();
    }

    /** Runs a command that both refuse in the same words, among them these. */
    void refused(String text, String line) {
        // Clients before 25 have words of their own for what is not there.
        String older = text.endsWith("not found") ? "No such " : text;
        assertThat(same(line).expectFailure()).as(line).containsAnyOf(text, older);
    }

    /** Runs a command that both answer with this output. */
    void answers(String output, String line) {
        assertThat(same(line).expect()).as(line).isEqualTo(output);
    }

    /** Runs a command until both answer with this output. */
    void awaitAnswer(String output, String line) {
        for (Lab lab : List.of(docker, skep)) {
            Await.untilEquals(
                    line, Swarm.SOON, output, () -> run(lab, 1, line).out().strip());
        }
    }

    /** Lets the workers join. */
    void join() {
        for (Lab lab : List.of(docker, skep)) {
            String token =
                    lab.host(1).docker("swarm", "join-token", "-q", "worker").expect();
            lab.host(2)
                    .docker(
                            "swarm",
                            "join",
                            "--token",
                            token,
                            "--advertise-addr",
                            lab.host(2).address(),
                            lab.host(1).address() + ":2377")
                    .expect();
        }
        awaitAnswer("Ready", "node ls --filter role=worker --format {{.Status}}");
    }

    Host skep() {
        return skep.host(1);
    }

    private static Shell.Result run(Lab lab, int host, String line) {
        List<String> arguments = new ArrayList<>();
        Matcher words = WORD.matcher(line.replace("{net}", lab.net()).replace("{host}", lab.prefix()));
        while (words.find()) {
            arguments.add(words.group(1) == null ? words.group(2) : words.group(1));
        }
        Shell.Result result = lab.host(host).docker(arguments.toArray(String[]::new));
        return new Shell.Result(result.command(), result.status(), plain(lab, result.out()), plain(lab, result.err()));
    }

    private static String plain(Lab lab, String text) {
        return text.replaceAll("SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}", "{token}")
                .replaceAll("SWMKEY-1-[0-9A-Za-z+/]{43}", "{key}")
                .replaceAll("\\b[0-9a-z]{25}\\b", "{id}")
                .replace(lab.net() + ".", "{net}.")
                .replace(lab.prefix(), "{host}")
                .replaceAll("\\d{4}-\\d\\d-\\d\\d[T ][0-9:.]+(Z| \\+0000 UTC)", "{time}");
    }

    @Override
    public void close() {
        try (docker) {
            skep.close();
        }
    }
}
