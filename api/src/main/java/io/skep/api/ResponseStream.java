package io.skep.api;

import java.io.IOException;

/** The body of an answer that is written piece by piece. */
interface ResponseStream {
    /**
     * Sends a piece at once and returns when the connection took it.
     *
     * @throws IOException when the client is gone
     */
    void write(byte[] piece) throws IOException, InterruptedException;

    /** Calls the action once, on any thread, when the client has gone or the server stops; at once if that is so. */
    void onEnd(Runnable action);
}
