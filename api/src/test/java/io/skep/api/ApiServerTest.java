package io.skep.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The server at the level of bytes. */
class ApiServerTest {
    @TempDir
    Path folder;

    private final FakeNode node = new FakeNode();
    private ApiServer server;
    private InetSocketAddress address;

    @BeforeEach
    void listen() throws IOException {
        server = new ApiServer(engine(folder), node, null);
        address = (InetSocketAddress)
                server.listen(new ListenAddress.Tcp(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), null));
    }

    @AfterEach
    void stop() {
        server.close();
    }

    static EngineInfo engine(Path folder) {
        return new EngineInfo(
                "ID", "board", "0.1.0", "abc", "", folder, () -> List.of("a=b"), () -> false, () -> List.of("careful"));
    }

    @Test
    void pingTellsVersionAndPartInSwarm() throws IOException {
        String answer = talk("GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

        assertThat(answer)
                .startsWith("HTTP/1.1 200 OK\r\n")
                .containsIgnoringCase("Api-Version: 1.51\r\n")
                .contains("Docker-Experimental: false\r\n")
                .contains("Ostype: linux\r\n")
                .contains("Server: Docker/0.1.0 (linux)\r\n")
                .contains("Swarm: inactive\r\n")
                .endsWith("\r\n\r\nOK");
    }

    @Test
    void headPingHasHeadersButNoBody() throws IOException {
        String answer = talk("HEAD /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

        assertThat(answer)
                .startsWith("HTTP/1.1 200 OK\r\n")
                .contains("Swarm: inactive")
                .endsWith("\r\n\r\n");
    }

    @Test
    void unknownPathIsNotFoundWithoutCharset() throws IOException {
        String answer = talk("GET /v1.40/nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

        assertThat(answer)
                .startsWith("HTTP/1.1 404")
                .containsIgnoringCase("content-type: application/json\r\n")
                .endsWith("{\"message\":\"page not found\"}");
    }

    @ParameterizedTest
    @MethodSource("versions")
    void versionsAreNegotiated(String version, int status, String text) throws IOException {
        String answer = talk("GET /v" + version + "/_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

        assertThat(answer).startsWith("HTTP/1.1 " + status).contains(text);
    }

    static Stream<Object[]> versions() {
        return Stream.of(
                new Object[] {"1.24", 200, "OK"},
                new Object[] {"1.51", 200, "OK"},
                new Object[] {
                    "1.23",
                    400,
                    "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client"
                            + " to a newer version"
                },
                new Object[] {"1.52", 400, "client version 1.52 is too new. Maximum supported API version is 1.51"},
                new Object[] {"1.99999999999", 404, "page not found"});
    }

    @ParameterizedTest
    @MethodSource("garbage")
    void badRequestGetsJsonErrorAndEnd(String request, int status) throws IOException {
        assertThat(talk(request)).startsWith("HTTP/1.1 " + status).contains("{\"message\":\"");
    }

    @Test
    void refusedClientThatGoesOnSendingStillReadsWhy() throws IOException {
        for (int i = 0; i < 20; i++) {
            assertThat(talk("GET / HTTP/1.1\r\nX: " + "a".repeat(2_000_000) + "\r\n\r\n"))
                    .startsWith("HTTP/1.1 431");
        }
    }

    static Stream<Object[]> garbage() {
        return Stream.of(
                new Object[] {"NONSENSE\r\n\r\n", 400},
                new Object[] {"GET / HTTP/9.9x\r\n\r\n", 400},
                new Object[] {"GET /a b c HTTP/1.1\r\n\r\n", 400},
                new Object[] {"POST /swarm/init HTTP/1.1\r\nContent-Length: -3\r\n\r\n", 400},
                new Object[] {"POST /swarm/init HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400},
                new Object[] {"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
                new Object[] {"GET /_ping HTTP/1.1\r\nBad Header: x\r\n\r\n", 400},
                new Object[] {"GET /%zz HTTP/1.1\r\nConnection: close\r\n\r\n", 400},
                new Object[] {"GET /" + "a".repeat(300_000) + " HTTP/1.1\r\n\r\n", 414},
                new Object[] {"GET / HTTP/1.1\r\nX: " + "a".repeat(300_000) + "\r\n\r\n", 431});
    }

    @Test
    void severalRequestsOnOneConnectionAreAnsweredInOrder() throws IOException {
        String answer = talk(get("/_ping", "") + get("/nope", "") + get("/_ping", "Connection: close\r\n"));

        assertThat(answer.split("HTTP/1.1 ")).hasSize(4).satisfies(parts -> {
            assertThat(parts[1]).startsWith("200");
            assertThat(parts[2]).startsWith("404");
            assertThat(parts[3]).startsWith("200");
        });
    }

    @Test
    void halfClosedClientStillGetsItsAnswer() throws IOException {
        try (Socket socket = connect()) {
            socket.getOutputStream()
                    .write("GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
            socket.shutdownOutput();
            assertThat(read(socket)).endsWith("OK");
        }
    }

    @Test
    void bodyThatIsTooLargeIsRefused() throws IOException {
        int length = HttpConnection.BODY_BYTES_MAX + 1;
        String answer = talk("POST /swarm/init HTTP/1.1\r\nConnection: close\r\nContent-Type: application/json\r\n"
                + "Content-Length: " + length + "\r\n\r\n" + " ".repeat(length));

        assertThat(answer).startsWith("HTTP/1.1 413").contains("larger than the 8388608 bytes");
    }

    @Test
    void announcedBodyThatIsTooLargeIsRefusedBeforeItIsSent() throws IOException {
        String answer = talk("POST /swarm/init HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n");

        assertThat(answer).startsWith("HTTP/1.1 413");
    }

    @Test
    void unixSocketIsForOwnerAndGroupAndReplacesStaleOne() throws IOException {
        Path socket = folder.resolve("api.sock");
        try (ApiServer first = new ApiServer(engine(folder), node, null)) {
            first.listen(new ListenAddress.Unix(socket, "root"));
            assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(socket)))
                    .isEqualTo("rw-rw----");
            assertThatThrownBy(() -> server.listen(new ListenAddress.Unix(socket, "")))
                    .hasMessageContaining("another process listens on it");
        }
        try (var stale = java.nio.channels.ServerSocketChannel.open(java.net.StandardProtocolFamily.UNIX)) {
            stale.bind(java.net.UnixDomainSocketAddress.of(socket));
        }
        assertThat(socket).exists();
        server.listen(new ListenAddress.Unix(socket, ""));
    }

    @Test
    void unknownGroupIsNamed() {
        assertThatThrownBy(() -> server.listen(new ListenAddress.Unix(folder.resolve("x.sock"), "no-such-group")))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("there is no group 'no-such-group'");
    }

    @Test
    void portInUseIsNamed() {
        assertThatThrownBy(() -> server.listen(new ListenAddress.Tcp(address, null)))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("tcp://")
                .hasMessageContaining(":" + address.getPort());
    }

    @Test
    void descriptorThatIsNoSocketIsRefused() {
        assertThatThrownBy(() -> server.listen(new ListenAddress.Descriptor(9_999, null)))
                .hasMessageContaining("no such descriptor");
    }

    private static String get(String path, String headers) {
        return "GET " + path + " HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n";
    }

    private Socket connect() throws IOException {
        Socket socket = new Socket(address.getAddress(), address.getPort());
        socket.setSoTimeout(20_000);
        return socket;
    }

    private String talk(String request) throws IOException {
        try (Socket socket = connect()) {
            socket.getOutputStream().write(request.getBytes(StandardCharsets.ISO_8859_1));
            return read(socket);
        }
    }

    private static String read(Socket socket) throws IOException {
        InputStream in = socket.getInputStream();
        return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    }
}
