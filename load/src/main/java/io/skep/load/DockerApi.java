package io.skep.load;

import io.avaje.json.JsonException;
import io.avaje.json.mapper.JsonMapper;
import io.skep.certs.CredentialException;
import io.skep.certs.TlsIdentity;
import io.skep.certs.TlsMaterial;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.StandardProtocolFamily;
import java.net.URI;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import javax.net.ssl.KeyManager;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import org.jspecify.annotations.Nullable;

/**
 * Calls of the Docker API over one kept connection, each of them timed. Small on purpose: it reads what engines send,
 * no more of HTTP than that. Not safe for several threads.
 */
final class DockerApi implements AutoCloseable {
    private static final String VERSION = "/v1.41";
    private static final JsonMapper JSON = JsonMapper.builder().build();

    /**
     * How to reach the API.
     *
     * @param uri {@code unix:///path} or {@code tcp://host:port}
     * @param certificates folder with {@code ca.pem}, {@code cert.pem} and {@code key.pem} for TLS, or null
     */
    record Target(URI uri, @Nullable Path certificates) {
        static Target parse(String text, @Nullable Path certificates) {
            URI uri;
            try {
                uri = URI.create(text);
            } catch (IllegalArgumentException e) {
                throw new IllegalArgumentException("'" + text + "' is no address of a Docker API", e);
            }
            boolean unix = "unix".equals(uri.getScheme())
                    && uri.getPath() != null
                    && !uri.getPath().isEmpty();
            boolean tcp = "tcp".equals(uri.getScheme()) && uri.getHost() != null && uri.getPort() > 0;
            if (!unix && !tcp) {
                throw new IllegalArgumentException(
                        "'" + text + "' is no address of a Docker API: it is unix:///PATH or tcp://HOST:PORT");
            }
            return new Target(uri, certificates);
        }
    }

    private final Target target;
    private final Map<String, Latencies> latencies = new TreeMap<>();
    private @Nullable AutoCloseable connection;
    private @Nullable InputStream in;
    private @Nullable OutputStream out;

    DockerApi(Target target) {
        this.target = target;
    }

    /** Times of the calls made so far, by the names they were given. */
    Map<String, Latencies> latencies() {
        return latencies;
    }

    Map<String, Object> getObject(String name, String path) throws LoadException {
        return object(call(name, "GET", path, null));
    }

    List<Map<String, Object>> getList(String name, String path) throws LoadException {
        byte[] body = call(name, "GET", path, null);
        try {
            List<Map<String, Object>> objects = new ArrayList<>();
            for (Object element : JSON.fromJsonArray(new String(body, StandardCharsets.UTF_8))) {
                if (element instanceof Map<?, ?> map) {
                    Map<String, Object> object = new LinkedHashMap<>();
                    map.forEach((key, value) -> object.put(String.valueOf(key), value));
                    objects.add(object);
                }
            }
            return objects;
        } catch (JsonException e) {
            throw new LoadException("the API sent no list for " + path + ": " + e.getMessage(), e);
        }
    }

    Map<String, Object> post(String name, String path, Map<String, Object> body) throws LoadException {
        byte[] answer = call(name, "POST", path, JSON.toJson(body).getBytes(StandardCharsets.UTF_8));
        return answer.length == 0 ? Map.of() : object(answer);
    }

    void delete(String name, String path) throws LoadException {
        call(name, "DELETE", path, null);
    }

    private static Map<String, Object> object(byte[] body) throws LoadException {
        try {
            return JSON.fromJsonObject(new String(body, StandardCharsets.UTF_8));
        } catch (JsonException e) {
            throw new LoadException("the API sent no object: " + e.getMessage(), e);
        }
    }

    private byte[] call(String name, String method, String path, byte @Nullable [] body) throws LoadException {
        long begin = System.nanoTime();
        try {
            if (connection == null) {
                connect();
            }
            byte[] answer = exchange(method, path, body);
            latencies.computeIfAbsent(name, key -> new Latencies()).add(System.nanoTime() - begin);
            return answer;
        } catch (IOException e) {
            close();
            throw new LoadException("the API at " + target.uri() + " cannot be reached: " + e.getMessage(), e);
        }
    }

    private void connect() throws IOException, LoadException {
        if (target.uri().getScheme().equals("unix")) {
            SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
            connection = channel;
            channel.connect(UnixDomainSocketAddress.of(target.uri().getPath()));
            in = new BufferedInputStream(Channels.newInputStream(channel), 1 << 16);
            out = Channels.newOutputStream(channel);
            return;
        }
        Socket socket = target.certificates() == null ? new Socket() : tls(target.certificates());
        connection = socket;
        socket.setTcpNoDelay(true);
        socket.connect(
                new InetSocketAddress(target.uri().getHost(), target.uri().getPort()));
        in = new BufferedInputStream(socket.getInputStream(), 1 << 16);
        out = socket.getOutputStream();
    }

    private Socket tls(Path folder) throws IOException, LoadException {
        try {
            TlsIdentity identity = new TlsIdentity(
                    TlsMaterial.load(folder.resolve("ca.pem"), folder.resolve("cert.pem"), folder.resolve("key.pem")),
                    InstantSource.system());
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(
                    new KeyManager[] {identity.keyManager()},
                    new TrustManager[] {identity.serverTrust(target.uri().getHost())},
                    null);
            return context.getSocketFactory().createSocket();
        } catch (CredentialException | GeneralSecurityException e) {
            throw new LoadException("no TLS with the certificates in " + folder + ": " + e.getMessage(), e);
        }
    }

    private byte[] exchange(String method, String path, byte @Nullable [] body) throws IOException, LoadException {
        if (in == null || out == null) {
            throw new IOException("not connected");
        }
        StringBuilder head =
                new StringBuilder().append(method + " " + VERSION + path + " HTTP/1.1\r\nHost: docker\r\n");
        if (body != null) {
            head.append("Content-Type: application/json\r\nContent-Length: " + body.length + "\r\n");
        }
        head.append("\r\n");
        ByteArrayOutputStream request = new ByteArrayOutputStream();
        request.writeBytes(head.toString().getBytes(StandardCharsets.US_ASCII));
        if (body != null) {
            request.writeBytes(body);
        }
        out.write(request.toByteArray());
        out.flush();
        String[] status = line(in).split(" ", 3);
        if (status.length < 2 || !status[0].startsWith("HTTP/1.")) {
            throw new IOException("it does not speak HTTP");
        }
        int code = Integer.parseInt(status[1]);
        long length = -1;
        boolean chunked = false;
        for (String header = line(in); !header.isEmpty(); header = line(in)) {
            String lower = header.toLowerCase(Locale.ROOT);
            if (lower.startsWith("content-length:")) {
                length = Long.parseLong(lower.substring(15).strip());
            } else if (lower.startsWith("transfer-encoding:")) {
                chunked = lower.contains("chunked");
            }
        }
        byte[] answer;
        if (chunked) {
            answer = chunks(in);
        } else if (code == 204 || code == 304 || length == 0) {
            answer = new byte[0];
        } else if (length > 0) {
            answer = in.readNBytes((int) length);
        } else {
            answer = in.readAllBytes();
            close();
        }
        if (code >= 400) {
            throw new LoadException("the API answers " + code + " to " + method + " " + path + ": "
                    + new String(answer, StandardCharsets.UTF_8).strip());
        }
        return answer;
    }

    private static byte[] chunks(InputStream in) throws IOException {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        while (true) {
            String size = line(in);
            int extension = size.indexOf(';');
            int length = Integer.parseInt((extension < 0 ? size : size.substring(0, extension)).strip(), 16);
            if (length == 0) {
                while (!line(in).isEmpty()) {
                    // Trailers say nothing here.
                }
                return all.toByteArray();
            }
            all.writeBytes(in.readNBytes(length));
            line(in);
        }
    }

    private static String line(InputStream in) throws IOException {
        StringBuilder line = new StringBuilder();
        while (true) {
            int c = in.read();
            if (c < 0) {
                throw new EOFException("the connection ended");
            }
            if (c == '\n') {
                return line.toString();
            }
            if (c != '\r') {
                line.append((char) c);
            }
        }
    }

    @Override
    public void close() {
        if (connection != null) {
            try {
                connection.close();
            } catch (Exception e) {
                // Nothing depends on the end of a connection that nobody uses any more.
                connection = null;
            }
            connection = null;
        }
    }
}
