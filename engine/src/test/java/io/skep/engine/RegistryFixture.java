package io.skep.engine;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;

/**
 * A real registry (Debian's docker-registry) in a folder of its own, and a way to it that can be made to fail.
 *
 * <p>{@link #address} is the registry itself, {@link #faulty} the same behind a proxy that does to it what
 * {@link #fault} says.
 */
final class RegistryFixture implements AutoCloseable {
    private static final long START_PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(30);
    private static final List<String> HEADERS =
            List.of("Content-Type", "Docker-Content-Digest", "Location", "WWW-Authenticate", "Content-Range", "Link");

    private static final int TLS_HANDSHAKE = 0x16;

    /** What becomes of the answer to a GET; by default it is passed on. */
    @FunctionalInterface
    interface Fault {
        /** Returns whether it answered by itself. */
        boolean answer(HttpExchange exchange, byte[] body) throws IOException;
    }

    final String address;
    final String faulty;
    volatile Fault fault = (exchange, body) -> false;

    /** Method, path and range of all requests that went through the proxy. */
    final List<String> requests = new CopyOnWriteArrayList<>();

    private final Path folder;
    private final Process process;
    private final HttpServer proxy;
    private final ServerSocket front;
    private final ExecutorService executor = Executors.newVirtualThreadPerTaskExecutor();

    RegistryFixture() throws IOException {
        this("", folder -> folder);
    }

    /**
     * Starts a registry.
     *
     * @param more lines of its configuration
     * @param prepare puts files into its folder
     */
    RegistryFixture(String more, UnaryOperator<Path> prepare) throws IOException {
        folder = prepare.apply(Files.createTempDirectory(Path.of("/var/tmp"), "skep-registry-test"));
        int port = freePort();
        address = "localhost:" + port;
        Files.writeString(
                folder.resolve("config.yml"),
                """
                version: 0.1
                log:
                  level: error
                storage:
                  filesystem:
                    rootdirectory: %s
                  delete:
                    enabled: true
                http:
                  addr: 127.0.0.1:%d
                """.formatted(folder.resolve("data"), port) + more.replace("FOLDER", folder.toString()));
        process = new ProcessBuilder(
                        "docker-registry", "serve", folder.resolve("config.yml").toString())
                .redirectErrorStream(true)
                .redirectOutput(folder.resolve("log").toFile())
                .start();
        awaitStart();
        proxy = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        proxy.setExecutor(executor);
        proxy.createContext("/", this::pass);
        proxy.start();
        front = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        faulty = "localhost:" + front.getLocalPort();
        executor.execute(this::accept);
    }

    private static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }

    private void awaitStart() throws IOException {
        long deadlineNanos = System.nanoTime() + START_PATIENCE_NANOS;
        while (true) {
            try {
                open("/v2/").getResponseCode();
                return;
            } catch (IOException e) {
                if (!process.isAlive() || System.nanoTime() > deadlineNanos) {
                    throw new IOException("the registry does not start: " + Files.readString(folder.resolve("log")), e);
                }
                Thread.onSpinWait();
            }
        }
    }

    private HttpURLConnection open(String path) throws IOException {
        HttpURLConnection connection = (HttpURLConnection)
                URI.create("http://" + address + path).toURL().openConnection();
        connection.setInstanceFollowRedirects(false);
        return connection;
    }

    /** Hangs up on whoever tries TLS, as a registry without it does; the server behind would wait for more. */
    private void accept() {
        while (!front.isClosed()) {
            try {
                Socket client = front.accept();
                executor.execute(() -> forward(client));
            } catch (IOException e) {
                return;
            }
        }
    }

    private void forward(Socket client) {
        try (client;
                Socket server = new Socket(
                        InetAddress.getLoopbackAddress(), proxy.getAddress().getPort())) {
            int first = client.getInputStream().read();
            if (first < 0 || first == TLS_HANDSHAKE) {
                return;
            }
            server.getOutputStream().write(first);
            executor.execute(() -> pump(client, server));
            server.getInputStream().transferTo(client.getOutputStream());
        } catch (IOException e) {
            // One of the two is gone, and now the other is too.
        }
    }

    private static void pump(Socket from, Socket to) {
        try {
            from.getInputStream().transferTo(to.getOutputStream());
            to.shutdownOutput();
        } catch (IOException e) {
            // The other direction notices.
        }
    }

    private void pass(HttpExchange exchange) throws IOException {
        String range = exchange.getRequestHeaders().getFirst("Range");
        requests.add(exchange.getRequestMethod() + " " + exchange.getRequestURI() + (range == null ? "" : " " + range));
        HttpURLConnection connection = open(exchange.getRequestURI().toString());
        connection.setRequestMethod(exchange.getRequestMethod());
        exchange.getRequestHeaders().forEach((name, values) -> {
            if (!name.equalsIgnoreCase("Host") && !name.equalsIgnoreCase("Connection")) {
                values.forEach(value -> connection.addRequestProperty(name, value));
            }
        });
        byte[] sent = exchange.getRequestBody().readAllBytes();
        if (exchange.getRequestMethod().equals("POST")
                || exchange.getRequestMethod().equals("PUT")) {
            connection.setDoOutput(true);
            try (OutputStream out = connection.getOutputStream()) {
                out.write(sent);
            }
        }
        int status = connection.getResponseCode();
        byte[] body;
        try (InputStream in = status >= 400 ? connection.getErrorStream() : connection.getInputStream()) {
            body = in == null ? new byte[0] : in.readAllBytes();
        }
        for (String name : HEADERS) {
            String value = connection.getHeaderField(name);
            if (value != null) {
                exchange.getResponseHeaders().add(name, value.replace(address, faulty));
            }
        }
        if (exchange.getRequestMethod().equals("GET") && fault.answer(exchange, body)) {
            exchange.close();
            return;
        }
        if (exchange.getRequestMethod().equals("HEAD") || body.length == 0) {
            exchange.sendResponseHeaders(status, -1);
        } else {
            exchange.sendResponseHeaders(status, body.length);
            exchange.getResponseBody().write(body);
        }
        exchange.close();
    }

    @Override
    public void close() throws IOException {
        front.close();
        proxy.stop(0);
        executor.shutdownNow();
        process.destroyForcibly().onExit().join();
        AtomicFiles.deleteTree(folder);
    }
}
