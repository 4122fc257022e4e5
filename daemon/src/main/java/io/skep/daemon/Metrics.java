package io.skep.daemon;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.prometheus.metrics.core.metrics.GaugeWithCallback;
import io.prometheus.metrics.expositionformats.PrometheusTextFormatWriter;
import io.prometheus.metrics.model.registry.PrometheusRegistry;
import io.skep.api.SwarmNode;
import io.skep.daemon.config.Configuration.Endpoint;
import io.skep.manager.ClusterAccess;
import io.skep.store.ClusterState;
import io.skep.store.Consensus.Member;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The page {@code /metrics} of {@code metrics-addr}, in Prometheus' text format. Values are taken when they are asked
 * for, from the state of this manager; a node that is none tells only of itself. The names are dockerd's where it has
 * them, so that its dashboards work.
 */
final class Metrics implements AutoCloseable {
    private static final String PATH = "/metrics";
    private static final int HTTP_OK = 200;

    private final HttpServer server;
    private final PrometheusRegistry registry = new PrometheusRegistry();
    private final PrometheusTextFormatWriter writer =
            PrometheusTextFormatWriter.builder().build();

    private Metrics(HttpServer server) {
        this.server = server;
    }

    static Metrics serve(Endpoint address, Version version, SwarmNode node) throws StartException {
        HttpServer server;
        try {
            server = HttpServer.create(new InetSocketAddress(address.address(), address.port()), 0);
        } catch (IOException | IllegalArgumentException e) {
            throw new StartException("metrics-addr " + address + " cannot be listened to: " + e.getMessage(), e);
        }
        Metrics metrics = new Metrics(server);
        metrics.register(version, node);
        server.createContext(PATH, metrics::answer);
        server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
        server.start();
        return metrics;
    }

    @Override
    public void close() {
        server.stop(0);
    }

    private void register(Version version, SwarmNode node) {
        GaugeWithCallback.builder()
                .name("engine_daemon_engine")
                .help("The engine, always 1")
                .labelNames("version", "commit")
                .callback(gauge -> gauge.call(1, version.version(), version.commit()))
                .register(registry);
        gauge(node, "swarm_manager_leader", "Whether this manager leads (1) or not (0)", cluster -> {
            String self = node.status().nodeId();
            return cluster.members().stream()
                            .anyMatch(m -> m.leader() && m.nodeId().equals(self))
                    ? 1
                    : 0;
        });
        gauge(
                node,
                "swarm_manager_quorum_members",
                "Managers in the quorum",
                cluster -> cluster.members().size());
        gauge(
                node,
                "swarm_manager_quorum_reachable",
                "Managers that the leader hears from",
                cluster -> cluster.members().stream().filter(Member::reachable).count());
        gauge(
                node,
                "swarm_manager_state_version",
                "Changes to the cluster's state applied here",
                cluster -> cluster.local().version());
        gauge(
                node,
                "swarm_manager_services",
                "Services",
                cluster -> cluster.local().services().size());
        states(
                node,
                "swarm_manager_nodes",
                "Nodes by state",
                state -> state.nodes().values().stream()
                        .map(value -> value.getStatus().getState()));
        states(
                node,
                "swarm_manager_tasks",
                "Tasks by state",
                state -> state.tasks().values().stream()
                        .map(value -> value.getStatus().getState()));
    }

    private void gauge(SwarmNode node, String name, String help, ToDoubleFunction<ClusterAccess> value) {
        GaugeWithCallback.builder()
                .name(name)
                .help(help)
                .callback(gauge -> {
                    ClusterAccess cluster = node.cluster();
                    if (cluster != null) {
                        gauge.call(value.applyAsDouble(cluster));
                    }
                })
                .register(registry);
    }

    private void states(
            SwarmNode node, String name, String help, Function<ClusterState, Stream<? extends Enum<?>>> states) {
        GaugeWithCallback.builder()
                .name(name)
                .help(help)
                .labelNames("state")
                .callback(gauge -> {
                    ClusterAccess cluster = node.cluster();
                    if (cluster != null) {
                        Map<String, Long> counts = states.apply(cluster.local())
                                .collect(Collectors.groupingBy(
                                        state -> state.name().toLowerCase(Locale.ROOT), Collectors.counting()));
                        counts.forEach((state, count) -> gauge.call(count, state));
                    }
                })
                .register(registry);
    }

    private void answer(HttpExchange exchange) throws IOException {
        try (exchange) {
            ByteArrayOutputStream page = new ByteArrayOutputStream();
            writer.write(page, registry.scrape());
            exchange.getResponseHeaders().set("Content-Type", writer.getContentType());
            exchange.sendResponseHeaders(HTTP_OK, page.size());
            page.writeTo(exchange.getResponseBody());
        }
    }
}
