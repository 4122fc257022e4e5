package io.skep.api;

import com.google.protobuf.ByteString;
import io.netty.handler.codec.http.HttpHeaders;
import io.netty.handler.codec.http.QueryStringDecoder;
import io.skep.control.CommandException;
import io.skep.engine.EngineException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The endpoints of the API by method and path, and how versions and refusals are answered (engine-api 1). */
final class Router {
    private static final Logger LOG = LoggerFactory.getLogger(Router.class);
    private static final Pattern VERSIONED = Pattern.compile("/v([0-9]+(?:\\.[0-9]+)?)(/.*)");
    private static final Pattern PARAMETER = Pattern.compile("\\{([a-z]+)(\\.\\.\\.)?\\}");

    private final Map<String, List<Route>> routesByHead = new HashMap<>();

    /** Answers one kind of request. */
    @FunctionalInterface
    interface Endpoint {
        Reply answer(Call call) throws Exception;
    }

    private record Route(String method, Pattern pattern, List<String> names, Endpoint endpoint, Input input) {}

    /**
     * Adds an endpoint.
     *
     * @param pattern a path whose parameters stand in braces: <code>{id}</code> takes one segment, <code>{name...}
     *     </code> also several; the first segment is fixed
     */
    void add(String method, String pattern, Endpoint endpoint) {
        add(method, pattern, endpoint, Input.WHOLE);
    }

    /** Adds an endpoint that reads its body while it comes, however long it is. */
    void addStreamed(String method, String pattern, Endpoint endpoint) {
        add(method, pattern, endpoint, Input.STREAMED);
    }

    /** Adds an endpoint that may take the whole connection over, with a {@link Reply.Duplex}. */
    void addDuplex(String method, String pattern, Endpoint endpoint) {
        add(method, pattern, endpoint, Input.CONNECTION);
    }

    private void add(String method, String pattern, Endpoint endpoint, Input input) {
        StringBuilder regex = new StringBuilder();
        List<String> names = new ArrayList<>();
        Matcher matcher = PARAMETER.matcher(pattern);
        int from = 0;
        while (matcher.find()) {
            regex.append(Pattern.quote(pattern.substring(from, matcher.start())));
            regex.append(matcher.group(2) == null ? "([^/]+)" : "(.+)");
            names.add(matcher.group(1));
            from = matcher.end();
        }
        regex.append(Pattern.quote(pattern.substring(from)));
        routesByHead
                .computeIfAbsent(head(pattern), key -> new ArrayList<>())
                .add(new Route(method, Pattern.compile(regex.toString()), List.copyOf(names), endpoint, input));
    }

    /** Answers a request; refusals and failures become replies too. */
    Reply answer(String method, String uri, HttpHeaders headers, ByteString body) {
        return answer(method, uri, headers, body, body.newInput());
    }

    /** Answers a request whose body comes as a stream. */
    Reply answer(String method, String uri, HttpHeaders headers, InputStream input) {
        return answer(method, uri, headers, ByteString.EMPTY, input);
    }

    private Reply answer(String method, String uri, HttpHeaders headers, ByteString body, InputStream input) {
        try {
            return route(method, uri, headers, body, input);
        } catch (Exception e) {
            return failure(method, uri, e);
        }
    }

    /** Returns what a request is answered that failed so. */
    Reply failure(String method, String uri, Exception cause) {
        return switch (cause) {
            case ApiException e -> refusal(e.status(), e);
            case CommandException e -> Refusals.reply(e);
            case EngineException e -> Refusals.reply(e);
            case InterruptedException _ -> {
                Thread.currentThread().interrupt();
                yield Reply.error(503, "the engine is stopping");
            }
            default -> {
                LOG.error("{} {} failed", method, pathOf(uri), cause);
                yield Reply.error(500, "internal error: " + cause);
            }
        };
    }

    /** How an endpoint gets what comes after the head of a request. */
    enum Input {
        WHOLE,
        STREAMED,
        CONNECTION
    }

    /** Returns how the endpoint of a request wants its body. */
    Input input(String method, String uri) {
        String path = pathOf(uri);
        Matcher versioned = VERSIONED.matcher(path);
        String bare = versioned.matches() ? versioned.group(2) : path;
        return routesByHead.getOrDefault(head(bare), List.of()).stream()
                .filter(route -> route.method.equals(method)
                        && route.pattern.matcher(bare).matches())
                .map(Route::input)
                .findFirst()
                .orElse(Input.WHOLE);
    }

    private Reply route(String method, String uri, HttpHeaders headers, ByteString body, InputStream input)
            throws Exception {
        String path;
        Map<String, List<String>> query;
        try {
            QueryStringDecoder decoder = new QueryStringDecoder(uri);
            path = decoder.path();
            query = decoder.parameters();
        } catch (IllegalArgumentException e) {
            return Reply.error(400, "malformed request path: " + e.getMessage());
        }
        ApiVersion version = ApiVersion.NEWEST;
        Matcher versioned = VERSIONED.matcher(path);
        if (versioned.matches()) {
            try {
                version = ApiVersion.parse(versioned.group(1));
            } catch (NumberFormatException e) {
                return pageNotFound();
            }
            path = versioned.group(2);
        }
        if (method.equals("OPTIONS")) {
            return Reply.empty(200);
        }
        for (Route route : routesByHead.getOrDefault(head(path), List.of())) {
            Matcher matcher = route.pattern.matcher(path);
            if (route.method.equals(method) && matcher.matches()) {
                requireSupported(version);
                Map<String, String> parameters = new LinkedHashMap<>();
                for (int i = 0; i < route.names.size(); i++) {
                    parameters.put(route.names.get(i), matcher.group(i + 1));
                }
                return route.endpoint.answer(new Call(method, version, parameters, query, headers, body, input));
            }
        }
        return pageNotFound();
    }

    private static void requireSupported(ApiVersion version) {
        if (version.compareTo(ApiVersion.OLDEST) < 0) {
            throw new ApiException(
                    400,
                    "client version " + version + " is too old. Minimum supported API version is " + ApiVersion.OLDEST
                            + ", please upgrade your client to a newer version");
        }
        if (version.compareTo(ApiVersion.NEWEST) > 0) {
            throw new ApiException(
                    400,
                    "client version " + version + " is too new. Maximum supported API version is " + ApiVersion.NEWEST);
        }
    }

    private static Reply refusal(int status, ApiException e) {
        String message = e.getMessage();
        return Reply.error(status, message == null ? "" : message);
    }

    private static Reply pageNotFound() {
        return Reply.error(404, "page not found");
    }

    private static String pathOf(String uri) {
        int query = uri.indexOf('?');
        return query < 0 ? uri : uri.substring(0, query);
    }

    private static String head(String path) {
        int end = path.indexOf('/', 1);
        return end < 0 ? path : path.substring(0, end);
    }
}
