package io.skep.manager;

import io.skep.wire.LogMessage;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** Where gathered log lines go. No method waits; what one source gives arrives in its order. */
interface LogSink {
    /** These nodes were asked for their lines. */
    void serving(Collection<String> nodeIds);

    /**
     * Takes lines.
     *
     * @return completed, never exceptionally, when their source may send more: that is how a slow reader slows its
     *     sources down
     */
    CompletableFuture<Void> lines(List<LogMessage> messages);

    /** A node will send no more; the failure says why it did not send all, or is empty. */
    void done(String nodeId, String failure);
}
