package io.skep.agent;

import io.skep.wire.LogSubscriptionOptions;
import io.skep.wire.PluginDescription;
import io.skep.wire.Task;
import java.util.List;

/** What the executors of tests have in common: no drivers, no logs, and nothing left behind. */
abstract class SilentExecutor implements Executor {
    @Override
    public Runnable logs(Task task, LogSubscriptionOptions options, LogSink sink) {
        sink.ended();
        return () -> {};
    }

    @Override
    public List<PluginDescription> drivers() {
        return List.of();
    }

    @Override
    public void removeAll() {
        // Nothing of a fake is left.
    }

    @Override
    public String unavailable() {
        return "";
    }
}
