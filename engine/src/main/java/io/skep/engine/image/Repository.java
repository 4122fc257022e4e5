package io.skep.engine.image;

import com.google.protobuf.ByteString;
import io.skep.engine.image.Registries.Endpoint;
import io.skep.engine.image.RegistryException.Kind;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpRetryException;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URLEncoder;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * One repository in a registry (OCI distribution specification), for one user and one purpose.
 *
 * <p>The first server that answers for the repository is asked for all the rest; mirrors come first, and when one has
 * not what is asked of it the next is tried. Requests that fail for reasons that may pass are made again, as often as
 * the settings say. A password goes only to the server that the repository belongs to and to the token server that this
 * one names; it does not follow redirections.
 *
 * <p>Safe for use by several virtual threads. Interrupting one closes its connection.
 */
public final class Repository {
    private static final Pattern CHALLENGE_PARAMETER = Pattern.compile("([a-zA-Z_]+)=(?:\"([^\"]*)\"|([^\\s,]+))");
    private static final Pattern NEXT_PAGE = Pattern.compile("<([^>]+)>\\s*;\\s*rel=\"?next");
    private static final int TAGS_MAX = 10_000;
    private static final int REDIRECTIONS_MAX = 10;
    private static final int ERROR_BYTES_MAX = 64 << 10;
    private static final int TOKEN_SECONDS_MIN = 60;
    private static final Duration PAUSE_MAX = Duration.ofSeconds(30);
    private static final int TOO_MANY_REQUESTS = 429;
    private static final int RANGE_NOT_SATISFIABLE = 416;

    private final Registries registries;
    private final Reference name;
    private final Credentials credentials;
    private final List<Endpoint> endpoints;
    private final String actions;
    private final Map<String, Token> tokens = new ConcurrentHashMap<>();
    private final Map<Endpoint, Challenge> challenges = new ConcurrentHashMap<>();
    private volatile @Nullable Endpoint chosen;

    private record Token(String text, long untilNanos) {}

    /** How a server wants to be shown who asks; the scheme is empty when it does not want to know. */
    private record Challenge(String scheme, Map<String, String> parameters) {}

    /** A document as the registry has it. */
    public record Document(ContentDescriptor descriptor, ByteString bytes) {
        /** Reads it. */
        public ImageDocument read() throws IOException {
            return ImageDocument.parse(descriptor.mediaType(), bytes.toByteArray());
        }
    }

    /**
     * A content that is being read.
     *
     * @param offset of the first byte that comes; 0 when the registry cannot begin elsewhere
     */
    public record Download(InputStream in, long offset) implements AutoCloseable {
        @Override
        public void close() throws IOException {
            in.close();
        }
    }

    /** Writes the bytes of an upload. */
    @FunctionalInterface
    public interface Source {
        void writeTo(OutputStream out) throws IOException;
    }

    /** What is asked of a server. */
    private record Ask(
            String method,
            URI uri,
            Map<String, String> headers,
            long bodyBytes,
            @Nullable Source body) {
        static Ask get(URI uri, Map<String, String> headers) {
            return new Ask("GET", uri, headers, 0, null);
        }
    }

    Repository(
            Registries registries, Reference name, Credentials credentials, List<Endpoint> endpoints, String actions) {
        this.registries = registries;
        this.name = name;
        this.credentials = credentials;
        this.endpoints = endpoints;
        this.actions = actions;
    }

    public Reference name() {
        return name;
    }

    /**
     * Fetches a manifest or an index.
     *
     * @param version a tag or a digest
     */
    public Document document(String version) throws IOException, InterruptedException {
        return anywhere(endpoint -> {
            HttpURLConnection connection = retried(
                    endpoint,
                    Ask.get(
                            uri(endpoint, "manifests/" + version),
                            Map.of("Accept", String.join(", ", MediaTypes.DOCUMENTS))));
            byte[] bytes;
            try (InputStream in = connection.getInputStream()) {
                bytes = in.readNBytes(ImageDocument.BYTES_MAX + 1);
            }
            if (bytes.length > ImageDocument.BYTES_MAX) {
                throw new RegistryException(
                        Kind.INVALID,
                        "the manifest of " + name.familiar() + " is larger than " + ImageDocument.BYTES_MAX + " bytes");
            }
            String digest = digest(bytes);
            String announced = header(connection, "Docker-Content-Digest");
            if (Reference.isDigest(version) && !digest.equals(version)) {
                throw new RegistryException(
                        Kind.INVALID, "manifest verification failed for digest " + version + ": it has " + digest);
            }
            if (Reference.isDigest(announced) && !digest.equals(announced)) {
                throw new RegistryException(
                        Kind.INVALID, "manifest verification failed for digest " + announced + ": it has " + digest);
            }
            String type = header(connection, "Content-Type");
            int end = type.indexOf(';');
            return new Document(
                    new ContentDescriptor((end < 0 ? type : type.substring(0, end)).strip(), digest, bytes.length),
                    ByteString.copyFrom(bytes));
        });
    }

    /** Begins to read a content. */
    public Download download(String digest, long offset) throws IOException, InterruptedException {
        return anywhere(endpoint -> {
            URI uri = uri(endpoint, "blobs/" + digest);
            Map<String, String> headers = offset > 0 ? Map.of("Range", "bytes=" + offset + "-") : Map.of();
            HttpURLConnection connection;
            try {
                connection = retried(endpoint, Ask.get(uri, headers));
            } catch (RegistryException e) {
                if (offset > 0 && String.valueOf(e.getMessage()).contains(" " + RANGE_NOT_SATISFIABLE + " ")) {
                    connection = retried(endpoint, Ask.get(uri, Map.of()));
                } else {
                    throw e;
                }
            }
            boolean partial = connection.getResponseCode() == HttpURLConnection.HTTP_PARTIAL
                    && header(connection, "Content-Range").startsWith("bytes " + offset + "-");
            return new Download(connection.getInputStream(), partial ? offset : 0);
        });
    }

    /** Returns all tags of the repository. */
    public List<String> tags() throws IOException, InterruptedException {
        return anywhere(endpoint -> {
            List<String> all = new ArrayList<>();
            URI page = uri(endpoint, "tags/list");
            while (all.size() < TAGS_MAX) {
                HttpURLConnection connection = retried(endpoint, Ask.get(page, Map.of()));
                try (InputStream in = connection.getInputStream()) {
                    all.addAll(
                            Json.parse(in.readNBytes(ImageDocument.BYTES_MAX)).texts("tags"));
                }
                Matcher next = NEXT_PAGE.matcher(header(connection, "Link"));
                if (!next.find()) {
                    break;
                }
                page = page.resolve(next.group(1));
            }
            return all;
        });
    }

    /** Whether the registry has a content. */
    public boolean has(String digest) throws IOException, InterruptedException {
        return anywhere(endpoint -> {
            HttpURLConnection connection;
            try {
                connection = retried(endpoint, new Ask("HEAD", uri(endpoint, "blobs/" + digest), Map.of(), 0, null));
            } catch (RegistryException e) {
                if (e.kind() == Kind.NOT_FOUND) {
                    return false;
                }
                throw e;
            }
            drain(connection);
            return true;
        });
    }

    /**
     * Sends a content, unless the registry can take it from another of its repositories.
     *
     * @param other path of a repository that may have it, empty for none known
     * @return whether it was taken from there
     */
    public boolean upload(String digest, long size, String other, Source source)
            throws IOException, InterruptedException {
        return anywhere(endpoint -> {
            URI begin = uri(endpoint, "blobs/uploads/");
            if (!other.isEmpty()) {
                begin = URI.create(begin + "?mount=" + encode(digest) + "&from=" + encode(other));
            }
            HttpURLConnection connection = retried(endpoint, new Ask("POST", begin, Map.of(), 0, out -> {}));
            int status = connection.getResponseCode();
            String location = header(connection, "Location");
            drain(connection);
            if (status == HttpURLConnection.HTTP_CREATED) {
                return true;
            }
            if (location.isEmpty()) {
                throw new RegistryException(Kind.INVALID, "the registry names no place for an upload");
            }
            URI place = begin.resolve(location);
            URI whole = URI.create(place + (place.getRawQuery() == null ? "?" : "&") + "digest=" + encode(digest));
            drain(once(
                    endpoint, new Ask("PUT", whole, Map.of("Content-Type", "application/octet-stream"), size, source)));
            return false;
        });
    }

    /** Sends a manifest or an index. */
    public void send(String version, String mediaType, byte[] bytes) throws IOException, InterruptedException {
        anywhere(endpoint -> {
            drain(retried(
                    endpoint,
                    new Ask(
                            "PUT",
                            uri(endpoint, "manifests/" + version),
                            Map.of("Content-Type", mediaType),
                            bytes.length,
                            out -> out.write(bytes))));
            return true;
        });
    }

    /** What is done with one server. */
    @FunctionalInterface
    private interface Step<T> {
        T with(Endpoint endpoint) throws IOException, InterruptedException;
    }

    /** Does something with the server that was chosen, or with the first on which it works. */
    private <T> T anywhere(Step<T> step) throws IOException, InterruptedException {
        Endpoint known = chosen;
        int first = known == null ? 0 : endpoints.indexOf(known);
        IOException failure = null;
        for (Endpoint endpoint : endpoints.subList(first, endpoints.size())) {
            boolean answers = false;
            try {
                ping(endpoint);
                answers = true;
                T result = step.with(endpoint);
                chosen = endpoint;
                return result;
            } catch (IOException e) {
                if (Thread.interrupted()) {
                    InterruptedException interrupted = new InterruptedException();
                    interrupted.initCause(e);
                    throw interrupted;
                }
                if (answers && !endpoint.mirror()) {
                    throw e;
                }
                failure = e;
            }
        }
        throw failure == null ? new IOException("there is no server for " + name.domain()) : failure;
    }

    /** Finds out whether a server speaks our language, and what it wants to know of us. */
    private void ping(Endpoint endpoint) throws IOException {
        if (challenges.containsKey(endpoint)) {
            return;
        }
        URI uri = URI.create(endpoint.base() + "/v2/");
        try {
            HttpURLConnection connection = begin(endpoint, Ask.get(uri, Map.of()), "");
            int status = connection.getResponseCode();
            String wanted = header(connection, "WWW-Authenticate");
            drain(connection);
            if (status == HttpURLConnection.HTTP_UNAUTHORIZED) {
                challenges.put(endpoint, challenge(wanted));
            } else if (status == HttpURLConnection.HTTP_OK) {
                challenges.put(endpoint, new Challenge("", Map.of()));
            } else {
                throw new RegistryException(
                        status >= 500 ? Kind.UNAVAILABLE : Kind.INVALID,
                        "Get \"" + uri + "\": unexpected status " + status + ": this is no registry of version 2");
            }
        } catch (RegistryException e) {
            throw e;
        } catch (IOException e) {
            throw new RegistryException(Kind.UNAVAILABLE, "Get \"" + uri + "\": " + reason(e), e);
        }
    }

    private static String reason(IOException e) {
        String message = e.getMessage();
        if (e instanceof UnknownHostException) {
            return "lookup " + message + ": no such host";
        }
        return message == null ? e.getClass().getSimpleName() : message;
    }

    private static Challenge challenge(String header) {
        int space = header.indexOf(' ');
        String scheme = (space < 0 ? header : header.substring(0, space)).toLowerCase(Locale.ROOT);
        Map<String, String> parameters = new ConcurrentHashMap<>();
        Matcher matcher = CHALLENGE_PARAMETER.matcher(space < 0 ? "" : header.substring(space));
        while (matcher.find()) {
            String quoted = matcher.group(2);
            parameters.put(matcher.group(1).toLowerCase(Locale.ROOT), quoted == null ? matcher.group(3) : quoted);
        }
        return new Challenge(scheme, parameters);
    }

    /** Asks until there is an answer that is not a passing failure. */
    private HttpURLConnection retried(Endpoint endpoint, Ask ask) throws IOException, InterruptedException {
        Duration pause = registries.settings().retryPause();
        for (int attempt = 1; ; attempt++) {
            try {
                return once(endpoint, ask);
            } catch (RegistryException e) {
                if (e.kind() != Kind.UNAVAILABLE
                        || attempt >= registries.settings().attemptsMax()) {
                    throw e;
                }
            }
            Thread.sleep(pause);
            Duration twice = pause.multipliedBy(2);
            pause = twice.compareTo(PAUSE_MAX) < 0 ? twice : PAUSE_MAX;
        }
    }

    /** Asks once, with a new token if the old one is not taken any more. */
    private HttpURLConnection once(Endpoint endpoint, Ask ask) throws IOException {
        try {
            HttpURLConnection connection = begin(endpoint, ask, authorization(endpoint));
            if (status(connection) == HttpURLConnection.HTTP_UNAUTHORIZED) {
                String wanted = header(connection, "WWW-Authenticate");
                if (!wanted.isEmpty() && !tokens.isEmpty()) {
                    drain(connection);
                    challenges.put(endpoint, challenge(wanted));
                    tokens.clear();
                    connection = begin(endpoint, ask, authorization(endpoint));
                }
            }
            int status = status(connection);
            if (status >= HttpURLConnection.HTTP_BAD_REQUEST) {
                throw refusal(connection, status);
            }
            return connection;
        } catch (RegistryException e) {
            throw e;
        } catch (IOException e) {
            throw new RegistryException(
                    Kind.UNAVAILABLE, ask.method() + " \"" + withoutQuery(ask.uri()) + "\": " + reason(e), e);
        }
    }

    private static int status(HttpURLConnection connection) throws IOException {
        try {
            return connection.getResponseCode();
        } catch (HttpRetryException e) {
            // It asks for a password in the middle of an upload.
            return e.responseCode();
        }
    }

    /** Sends a request and follows redirections of reads, to another server without password. */
    private HttpURLConnection begin(Endpoint endpoint, Ask ask, String authorization) throws IOException {
        URI uri = ask.uri();
        String password = authorization;
        for (int redirection = 0; redirection <= REDIRECTIONS_MAX; redirection++) {
            HttpURLConnection connection = registries.open(uri, endpoint.anyCertificate());
            connection.setRequestMethod(ask.method());
            ask.headers().forEach(connection::setRequestProperty);
            if (!ask.headers().containsKey("Accept")) {
                connection.setRequestProperty("Accept", "*/*");
            }
            if (!password.isEmpty()) {
                connection.setRequestProperty("Authorization", password);
            }
            Source body = ask.body();
            if (body != null) {
                connection.setDoOutput(true);
                connection.setFixedLengthStreamingMode(ask.bodyBytes());
                try (OutputStream out = connection.getOutputStream()) {
                    body.writeTo(out);
                }
                return connection;
            }
            int status = connection.getResponseCode();
            if (status < HttpURLConnection.HTTP_MULT_CHOICE
                    || status >= HttpURLConnection.HTTP_BAD_REQUEST
                    || status == HttpURLConnection.HTTP_NOT_MODIFIED) {
                return connection;
            }
            String location = header(connection, "Location");
            drain(connection);
            URI next = uri.resolve(location);
            boolean down = uri.getScheme().equals("https") && !"https".equals(next.getScheme());
            if (location.isEmpty() || (down && !endpoint.anyCertificate()) || next.getAuthority() == null) {
                throw new RegistryException(Kind.INVALID, "the registry sends elsewhere, to \"" + location + "\"");
            }
            if (!next.getAuthority().equals(uri.getAuthority())) {
                password = "";
            }
            uri = next;
        }
        throw new RegistryException(Kind.INVALID, "the registry sends elsewhere too often");
    }

    private String authorization(Endpoint endpoint) throws IOException {
        Challenge challenge = challenges.get(endpoint);
        if (challenge == null || challenge.scheme().isEmpty()) {
            return "";
        }
        Credentials shown = endpoint.mirror() ? Credentials.NONE : credentials;
        if (!shown.registryToken().isEmpty()) {
            return "Bearer " + shown.registryToken();
        }
        return switch (challenge.scheme()) {
            case "basic" -> {
                if (!shown.hasPassword()) {
                    throw new RegistryException(Kind.DENIED, "no basic auth credentials");
                }
                yield shown.basic();
            }
            case "bearer" -> "Bearer " + token(endpoint, challenge, shown);
            default ->
                throw new RegistryException(
                        Kind.DENIED,
                        "the registry " + endpoint.authority() + " wants authentication of the unknown kind "
                                + challenge.scheme());
        };
    }

    private String token(Endpoint endpoint, Challenge challenge, Credentials shown) throws IOException {
        String scope = "repository:" + name.path() + ":" + actions;
        String key = endpoint.base() + " " + scope;
        Token known = tokens.get(key);
        if (known != null && known.untilNanos() - System.nanoTime() > 0) {
            return known.text();
        }
        String realm = challenge.parameters().getOrDefault("realm", "");
        String service = challenge.parameters().getOrDefault("service", "");
        if (!realm.startsWith("https://") && !(realm.startsWith("http://") && endpoint.anyCertificate())) {
            throw new RegistryException(
                    Kind.DENIED, "the registry names a token server that is not safe: \"" + realm + "\"");
        }
        HttpURLConnection connection;
        if (shown.identityToken().isEmpty()) {
            String query = (realm.indexOf('?') < 0 ? "?" : "&")
                    + "service=" + encode(service)
                    + "&scope=" + encode(scope)
                    + (shown.hasPassword() ? "&account=" + encode(shown.username()) : "");
            connection = begin(
                    endpoint, Ask.get(URI.create(realm + query), Map.of()), shown.hasPassword() ? shown.basic() : "");
        } else {
            byte[] form = ("grant_type=refresh_token&client_id=skep&service=" + encode(service) + "&scope="
                            + encode(scope) + "&refresh_token=" + encode(shown.identityToken()))
                    .getBytes(StandardCharsets.UTF_8);
            connection = begin(
                    endpoint,
                    new Ask(
                            "POST",
                            URI.create(realm),
                            Map.of("Content-Type", "application/x-www-form-urlencoded"),
                            form.length,
                            out -> out.write(form)),
                    "");
        }
        int status = connection.getResponseCode();
        if (status >= HttpURLConnection.HTTP_BAD_REQUEST) {
            throw refusal(connection, status);
        }
        Json answer;
        try (InputStream in = connection.getInputStream()) {
            answer = Json.parse(in.readNBytes(ERROR_BYTES_MAX));
        }
        String text = answer.text("token").isEmpty() ? answer.text("access_token") : answer.text("token");
        if (text.isEmpty()) {
            throw new RegistryException(Kind.DENIED, "the token server gave no token");
        }
        long seconds = Math.max(TOKEN_SECONDS_MIN, answer.number("expires_in"));
        // A little earlier than it says: a request takes time.
        tokens.put(
                key,
                new Token(text, System.nanoTime() + Duration.ofSeconds(seconds).toNanos() * 9 / 10));
        return text;
    }

    /** Puts a refusal into the words that Docker has for it. */
    private static RegistryException refusal(HttpURLConnection connection, int status) {
        String text = "";
        String code = "";
        try (InputStream in = connection.getErrorStream()) {
            if (in != null) {
                byte[] body = in.readNBytes(ERROR_BYTES_MAX);
                List<Json> errors = Json.parse(body).objects("errors");
                if (!errors.isEmpty()) {
                    code = errors.getFirst().text("code");
                    text = code.toLowerCase(Locale.ROOT).replace('_', ' ') + ": "
                            + errors.getFirst().text("message");
                }
            }
        } catch (IOException e) {
            // It says nothing that can be understood; the status has to do.
        }
        if (text.isEmpty()) {
            text = "received unexpected HTTP status: " + status + " " + phrase(connection);
        }
        Kind kind = switch (status) {
            case HttpURLConnection.HTTP_UNAUTHORIZED, HttpURLConnection.HTTP_FORBIDDEN -> Kind.DENIED;
            case HttpURLConnection.HTTP_NOT_FOUND -> code.equals("NAME_UNKNOWN") ? Kind.DENIED : Kind.NOT_FOUND;
            case TOO_MANY_REQUESTS, HttpURLConnection.HTTP_CLIENT_TIMEOUT -> Kind.UNAVAILABLE;
            default -> status >= 500 ? Kind.UNAVAILABLE : Kind.INVALID;
        };
        return new RegistryException(kind, text);
    }

    private static String phrase(HttpURLConnection connection) {
        try {
            String phrase = connection.getResponseMessage();
            return phrase == null ? "" : phrase;
        } catch (IOException e) {
            return "";
        }
    }

    /** Reads what is left of an answer, so that the connection can be used again. */
    private static void drain(HttpURLConnection connection) throws IOException {
        try (InputStream in = status(connection) >= HttpURLConnection.HTTP_BAD_REQUEST
                ? connection.getErrorStream()
                : connection.getInputStream()) {
            if (in != null) {
                var _ = in.readNBytes(ERROR_BYTES_MAX);
            }
        }
    }

    private URI uri(Endpoint endpoint, String rest) {
        return URI.create(endpoint.base() + "/v2/" + name.path() + "/" + rest);
    }

    private static String withoutQuery(URI uri) {
        String text = uri.toString();
        int query = text.indexOf('?');
        return query < 0 ? text : text.substring(0, query);
    }

    private static String encode(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8);
    }

    private static String header(HttpURLConnection connection, String header) {
        String value = connection.getHeaderField(header);
        return value == null ? "" : value;
    }

    static String digest(byte[] bytes) {
        try {
            return "sha256:"
                    + HexFormat.of()
                            .formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}
