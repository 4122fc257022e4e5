package io.skep.api;

import java.io.IOException;
import org.jspecify.annotations.Nullable;

/** A connection that is a stream in both directions, as attach and exec need it. */
interface DuplexStream extends ResponseStream {
    /**
     * Tells the client that the stream begins; what is written before waits for it.
     *
     * @param contentType of what is written
     */
    void begin(String contentType);

    /**
     * Waits for the next bytes of the client.
     *
     * @return null when the client has ended its sending
     * @throws IOException when the client is gone
     */
    byte @Nullable [] read() throws IOException, InterruptedException;
}
