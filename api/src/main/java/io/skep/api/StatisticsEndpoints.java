package io.skep.api;

import io.skep.engine.Container;
import io.skep.engine.EngineException;
import io.skep.engine.record.ContainerStats;
import java.io.IOException;
import java.time.Duration;

/** What containers use: {@code docker stats} and {@code docker top}. */
final class StatisticsEndpoints {
    private static final Duration PERIOD = Duration.ofSeconds(1);

    private final EngineGate gate;

    StatisticsEndpoints(EngineGate gate) {
        this.gate = gate;
    }

    void addTo(Router router) {
        router.add("GET", "/containers/{id}/stats", this::stats);
        router.add("GET", "/containers/{id}/top", this::top);
    }

    private Container container(Call call) {
        return gate.containers().require(call.path("id"));
    }

    private Reply stats(Call call) throws InterruptedException {
        Container container = container(call);
        boolean streams = !call.query().containsKey("stream") || call.flag("stream");
        boolean once = call.flag("one-shot") && !call.version().before(1, 41);
        if (streams && once) {
            throw new ApiException(400, "cannot have stream=true and one-shot=true");
        }
        ContainerStats first = container.statistics(null);
        if (once) {
            return Reply.json(RecordJson.object(first));
        }
        if (!streams) {
            // What a processor did can be told of a period only.
            Thread.sleep(PERIOD);
            return Reply.json(RecordJson.object(container.statistics(first)));
        }
        return new Reply.Streamed(200, "application/json", out -> {
            Thread self = Thread.currentThread();
            out.onEnd(self::interrupt);
            ContainerStats before = first;
            write(out, before);
            while (isThere(container)) {
                Thread.sleep(PERIOD);
                before = container.statistics(before);
                write(out, before);
            }
        });
    }

    private static void write(ResponseStream out, ContainerStats stats) throws IOException, InterruptedException {
        byte[] object = RecordJson.object(stats);
        byte[] line = new byte[object.length + 1];
        System.arraycopy(object, 0, line, 0, object.length);
        line[object.length] = '\n';
        out.write(line);
    }

    private boolean isThere(Container container) {
        try {
            return gate.containers().require(container.id()) == container;
        } catch (EngineException e) {
            return false;
        }
    }

    private Reply top(Call call) throws InterruptedException {
        return Reply.json(RecordJson.object(container(call).processes(call.query("ps_args"))));
    }
}
