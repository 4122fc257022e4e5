package io.skep.agent;

import io.skep.wire.LogMessage;
import java.util.concurrent.CompletionStage;

/** Takes lines of logs, on any threads. */
public interface LogSink {
    /** Takes one line. Completes when the next may come, with false when nobody wants one any more. */
    CompletionStage<Boolean> line(LogMessage message);

    /** Nothing follows; called once, whoever ended it. */
    void ended();
}
