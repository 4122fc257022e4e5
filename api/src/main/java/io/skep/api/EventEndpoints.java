package io.skep.api;

import com.google.protobuf.Timestamp;
import java.io.ByteArrayOutputStream;
import java.time.Duration;
import java.time.Instant;
import org.jspecify.annotations.Nullable;

/** {@code /events}: what happens to the objects of the cluster. */
final class EventEndpoints {
    private static final Duration FOREVER = Duration.ofDays(365);

    private final Gate gate;
    private final EventBuffer events;

    EventEndpoints(Gate gate, EventBuffer events) {
        this.gate = gate;
        this.events = events;
    }

    void addTo(Router router) {
        router.add("GET", "/events", this::stream);
    }

    private Reply stream(Call call) {
        Filters filters = call.filters(
                "config",
                "container",
                "daemon",
                "event",
                "image",
                "label",
                "network",
                "node",
                "plugin",
                "scope",
                "secret",
                "service",
                "type",
                "volume");
        Timestamp since = time(call, "since");
        Timestamp until = time(call, "until");
        if (since != null && until != null && Times.compare(since, until) > 0) {
            throw new ApiException(
                    400,
                    "`since` time (" + call.query("since") + ") cannot be after `until` time (" + call.query("until")
                            + ")");
        }
        events.follow(gate.clusterOrNull());
        Timestamp from = since == null ? Times.of(Instant.now()) : since;
        Instant end = until == null ? Instant.now().plus(FOREVER) : Times.instant(until);
        return new Reply.Streamed(200, "application/json", out -> {
            try (EventBuffer.Listener listener = events.listen()) {
                out.onEnd(listener::end);
                ClusterEvent event = listener.next(waitMillis(end));
                while (event != null) {
                    boolean inTime = Times.compare(event.time(), from) >= 0
                            && (until == null || Times.compare(event.time(), until) <= 0);
                    if (inTime && event.matches(filters)) {
                        out.write(line(event));
                    }
                    event = listener.next(waitMillis(end));
                }
            }
        });
    }

    private static long waitMillis(Instant end) {
        return Math.max(0, Duration.between(Instant.now(), end).toMillis());
    }

    private static @Nullable Timestamp time(Call call, String name) {
        String text = call.query(name);
        return text.isEmpty() ? null : Times.parse(name, text);
    }

    private static byte[] line(ClusterEvent event) {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        line.writeBytes(JsonOut.object(event::write));
        line.write('\n');
        return line.toByteArray();
    }
}
