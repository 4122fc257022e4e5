package io.skep.api;

import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;

/**
 * The way of a long answer to its client: writing that waits until the connection took the bytes, and what is to be
 * done when the client goes away or the server stops. Safe for use by several threads.
 */
final class Outgoing {
    private final Channel channel;
    private final List<Runnable> actions = new ArrayList<>();
    private boolean ended;

    Outgoing(Channel channel) {
        this.channel = channel;
    }

    /**
     * Writes a message and waits until the connection took it, so that a slow client slows down whoever writes.
     *
     * @throws IOException when the client is gone
     */
    void write(Object message) throws IOException, InterruptedException {
        ChannelFuture written = channel.writeAndFlush(message);
        try {
            written.await();
        } catch (CancellationException e) {
            throw new IOException("the answer was cancelled", e);
        }
        if (!written.isSuccess()) {
            throw new IOException("the client is gone", written.cause());
        }
    }

    /** Has something done at the end; at once if that was already. */
    void onEnd(Runnable action) {
        synchronized (actions) {
            if (!ended) {
                actions.add(action);
                return;
            }
        }
        action.run();
    }

    /** The client is gone, or the server stops. */
    void end() {
        List<Runnable> due;
        synchronized (actions) {
            ended = true;
            due = List.copyOf(actions);
            actions.clear();
        }
        due.forEach(Runnable::run);
    }
}
