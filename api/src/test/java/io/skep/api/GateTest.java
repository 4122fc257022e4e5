package io.skep.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.ByteString;
import io.netty.handler.codec.http.DefaultHttpHeaders;
import io.skep.certs.RootCertificateAuthority;
import io.skep.control.CommandException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What requests get where the cluster cannot be reached, and how refusals read. */
class GateTest {
    @TempDir
    Path folder;

    private final FakeNode node = new FakeNode();

    private Reply answer(String method, String uri) {
        Router router = Routes.of(ApiServerTest.engine(folder), node, new EventBuffer(), null);
        return router.answer(method, uri, new DefaultHttpHeaders(), ByteString.EMPTY);
    }

    private static String body(Reply reply) {
        return ((Reply.Whole) reply).body().toStringUtf8();
    }

    @ParameterizedTest
    @CsvSource({
        "INACTIVE, false, Use \\\"docker swarm init\\\" or \\\"docker swarm join\\\" to connect this node to swarm and try again.",
        "ACTIVE, false, Worker nodes can't be used to view or modify cluster state.",
        "ACTIVE, true, Manager is being prepared or has trouble connecting to the cluster.",
        "PENDING, false, Manager is being prepared",
        "LOCKED, false, Swarm is encrypted and needs to be unlocked before it can be used.",
        "ERROR, false, it broke"
    })
    void nodeThatIsNoManagerSaysWhy(SwarmNode.LocalState state, boolean manager, String text) {
        node.status = new SwarmNode.Status(state, "id", "", manager, "it broke", List.of());

        Reply reply = answer("GET", "/v1.51/nodes");

        assertThat(reply.status()).isEqualTo(503);
        assertThat(body(reply)).contains(text);
    }

    @Test
    void requestsWaitForAManagerThatStarts() throws Exception {
        CountDownLatch started = new CountDownLatch(1);
        node.started = started;
        node.status = new SwarmNode.Status(SwarmNode.LocalState.PENDING, "id", "", false, "", List.of());
        FutureTask<Reply> nodes = new FutureTask<>(() -> answer("GET", "/nodes"));
        Thread.ofVirtual().start(nodes);

        // What needs no cluster is answered meanwhile.
        assertThat(answer("GET", "/_ping").status()).isEqualTo(200);
        assertThat(nodes.isDone()).isFalse();

        try (FakeCluster cluster = cluster()) {
            assertThat(cluster.members()).hasSize(1);
            started.countDown();
            assertThat(nodes.get(20, TimeUnit.SECONDS).status()).isEqualTo(200);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "INVALID_ARGUMENT, 400, InvalidArgument",
        "FAILED_PRECONDITION, 400, FailedPrecondition",
        "NOT_FOUND, 404, NotFound",
        "ALREADY_EXISTS, 409, AlreadyExists",
        "PERMISSION_DENIED, 403, PermissionDenied",
        "UNIMPLEMENTED, 501, Unimplemented",
        "UNAVAILABLE, 503, Unavailable",
        "UNKNOWN, 500, Unknown",
        "ABORTED, 500, Aborted",
        "RESOURCE_EXHAUSTED, 500, ResourceExhausted"
    })
    void refusalsOfCommandsKeepTheirCode(CommandException.Code code, int status, String name) throws Exception {
        try (FakeCluster cluster = cluster()) {
            cluster.trouble = new CommandException(code, "no");

            Reply reply = answer("GET", "/nodes");

            assertThat(reply.status()).isEqualTo(status);
            assertThat(body(reply)).isEqualTo("{\"message\":\"rpc error: code = " + name + " desc = no\"}");
        }
    }

    @Test
    void missingLeaderReadsAsInDocker() throws Exception {
        try (FakeCluster cluster = cluster()) {
            cluster.trouble = new CommandException(
                    CommandException.Code.UNAVAILABLE, "The swarm does not have a leader. It's possible …");

            assertThat(body(answer("GET", "/services")))
                    .contains("rpc error: code = Unknown desc = The swarm does not have a leader.");
            assertThat(answer("GET", "/info").status()).isEqualTo(200);
            assertThat(answer("GET", "/networks").status()).isEqualTo(200);
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "GET|/nodes?filters={\"x\":[\"1\"]}|400|invalid filter 'x'",
                "GET|/nodes?filters=foo|400|invalid filter",
                "GET|/nodes?filters={\"role\":{\"bad\":true}}|400|Invalid role filter: 'bad'",
                "GET|/nodes/zz|404|node zz not found",
                "GET|/tasks?filters={\"service\":[\"nope\"]}|404|service nope not found",
                "GET|/services?filters={\"mode\":[\"nope\"]}|200|[]",
                "GET|/services/nope/logs?stdout=1|404|service nope not found",
                "GET|/services/nope/logs|400|you must choose at least one stream",
                "POST|/nodes/board2/update|400|invalid node version ''",
                "POST|/swarm/update?version=1&rotateWorkerToken=x|400|invalid value for rotateWorkerToken: x",
                "POST|/services/create|400|mismatched Runtime and *Spec fields",
                "GET|/events?since=5&until=3|400|cannot be after",
                "GET|/events?since=x|400|neither seconds since 1970 nor RFC 3339",
                "GET|/networks/nope|404|network nope not found",
                "POST|/containers/a/start|503|This node runs no containers",
                "GET|/distribution/a/b:c/json|503|This node runs no containers",
                "DELETE|/_ping|404|page not found",
                "GET|/nodes/|404|page not found"
            })
    void badRequestsAreNamed(String method, String uri, int status, String text) throws Exception {
        try (FakeCluster cluster = cluster()) {
            assertThat(cluster.members()).hasSize(1);
            String encoded = uri.replace("{", "%7B")
                    .replace("}", "%7D")
                    .replace("\"", "%22")
                    .replace("[", "%5B");

            Reply reply = answer(method, encoded);

            assertThat(body(reply)).contains(text);
            assertThat(reply.status()).isEqualTo(status);
        }
    }

    @Test
    void ambiguousIdIsRefused() throws Exception {
        try (FakeCluster cluster = cluster()) {
            cluster.submit(transaction -> {
                for (String id : List.of("abc1", "abc2")) {
                    transaction.put(
                            io.skep.store.Kind.NODE,
                            io.skep.wire.Node.newBuilder().setId(id).build());
                }
            });

            Reply reply = answer("GET", "/nodes/abc");

            assertThat(reply.status()).isEqualTo(400);
            assertThat(body(reply)).contains("node abc is ambiguous (2 matches found)");
            assertThat(answer("GET", "/nodes/abc2").status()).isEqualTo(200);
        }
    }

    @Test
    void stopEndsStreamsAndConnections() throws Exception {
        FakeCluster cluster = cluster();
        ApiServer server = new ApiServer(ApiServerTest.engine(folder), node, null);
        InetSocketAddress address = (InetSocketAddress)
                server.listen(new ListenAddress.Tcp(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), null));
        try (Socket events = new Socket(address.getAddress(), address.getPort());
                Socket idle = new Socket(address.getAddress(), address.getPort())) {
            events.setSoTimeout(20_000);
            idle.setSoTimeout(20_000);
            events.getOutputStream()
                    .write("GET /events HTTP/1.1\r\nHost: x\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
            // The head of the answer comes at once, before there is any event.
            assertThat(events.getInputStream().read()).isEqualTo('H');

            server.close(Duration.ofSeconds(20));

            assertThat(new String(events.getInputStream().readAllBytes(), StandardCharsets.US_ASCII))
                    .contains("Transfer-Encoding".toLowerCase(java.util.Locale.ROOT))
                    .endsWith("0\r\n\r\n");
            assertThat(idle.getInputStream().read()).isEqualTo(-1);
        }
        assertThatThrownBy(() -> new Socket(address.getAddress(), address.getPort()).close())
                .isInstanceOf(IOException.class);
        cluster.close();
    }

    private FakeCluster cluster() {
        FakeCluster cluster =
                FakeCluster.start(RootCertificateAuthority.create(Instant.now()).certificatePem());
        node.manage(cluster, FakeCluster.MANAGER_ID, "10.0.0.1");
        return cluster;
    }
}
