package io.skep.manager;

import io.skep.wire.LogMessage;
import java.util.Collection;
import java.util.List;

/** Where gathered log lines go. Methods may block: that is how a slow reader slows its sources down. */
interface LogSink {
    /** These nodes were asked for their lines. */
    void serving(Collection<String> nodeIds);

    void lines(List<LogMessage> messages);

    /** A node will send no more; the failure says why it did not send all, or is empty. */
    void done(String nodeId, String failure);
}
