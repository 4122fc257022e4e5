package io.skep.api;

import com.google.protobuf.ByteString;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpHeaders;
import java.io.InputStream;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * One request to an endpoint, with its parameters read as the Docker API reads them (engine-api 1.3).
 *
 * @param version the version that the client speaks
 * @param path parameters taken from the path, by name
 * @param query parameters of the query, each with all its values
 * @param body empty for an endpoint that reads it while it comes
 * @param input the body as a stream
 */
record Call(
        String method,
        ApiVersion version,
        Map<String, String> path,
        Map<String, List<String>> query,
        HttpHeaders headers,
        ByteString body,
        InputStream input) {
    private static final Set<String> NO = Set.of("", "0", "no", "false", "none");
    private static final Set<String> STRICT_YES = Set.of("1", "t", "T", "TRUE", "true", "True");
    private static final Set<String> STRICT_NO = Set.of("0", "f", "F", "FALSE", "false", "False");

    /** Returns a parameter of the path, which the route promises. */
    String path(String name) {
        String value = path.get(name);
        if (value == null) {
            throw new IllegalStateException("the route has no parameter " + name);
        }
        return value;
    }

    /** Returns a parameter of the query, the empty text when it is absent. */
    String query(String name) {
        List<String> values = query.get(name);
        return values == null || values.isEmpty() ? "" : values.getFirst();
    }

    /** Returns a boolean of the query: anything but the known words for no is a yes. */
    boolean flag(String name) {
        return !NO.contains(query(name).trim().toLowerCase(Locale.ROOT));
    }

    /** Returns a boolean of the query that must be spelled as one; absent is no. */
    boolean strictFlag(String name) {
        String value = query(name);
        if (value.isEmpty() || STRICT_NO.contains(value)) {
            return false;
        }
        if (STRICT_YES.contains(value)) {
            return true;
        }
        throw new ApiException(400, "invalid value for " + name + ": " + value);
    }

    /** Returns the version index that an update of an object must name (swarm-wire 8.1). */
    long versionIndex(String kind) {
        String raw = query("version");
        try {
            return Long.parseUnsignedLong(raw);
        } catch (NumberFormatException e) {
            throw new ApiException(
                    400,
                    "invalid " + kind + " version '" + raw + "': strconv.ParseUint: parsing \"" + raw
                            + "\": invalid syntax");
        }
    }

    /** Returns the body as an object; an empty body is an empty object. */
    JsonIn json() {
        String type = headers.get(HttpHeaderNames.CONTENT_TYPE);
        if (body.isEmpty()) {
            return JsonIn.parse(new byte[] {'{', '}'});
        }
        if (type == null || type.isBlank()) {
            throw new ApiException(400, "malformed Content-Type header (): mime: no media type");
        }
        int end = type.indexOf(';');
        String media = (end < 0 ? type : type.substring(0, end)).trim();
        if (!media.equalsIgnoreCase("application/json")) {
            throw new ApiException(400, "unsupported Content-Type header (" + media + "): must be 'application/json'");
        }
        return JsonIn.parse(body.toByteArray());
    }

    Filters filters(String... accepted) {
        return Filters.parse(query("filters"), accepted);
    }

    @Nullable
    String header(String name) {
        return headers.get(name);
    }
}
