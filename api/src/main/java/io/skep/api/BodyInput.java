package io.skep.api;

import io.netty.buffer.ByteBuf;
import io.netty.channel.Channel;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.util.ArrayDeque;
import java.util.Deque;
import org.jspecify.annotations.Nullable;

/**
 * The body of a request that is read while it comes.
 *
 * <p>The event loop puts pieces in, the thread of the request takes them out. At {@value #QUEUED_BYTES_MAX} bytes the
 * connection is read no further until half of them are gone, so a slow reader slows its client down.
 */
final class BodyInput extends InputStream {
    private static final int QUEUED_BYTES_MAX = 1 << 20;

    private final Channel channel;
    private final Deque<byte[]> pieces = new ArrayDeque<>();
    private int queuedBytes;
    private int position;
    private boolean paused;
    private boolean ended;
    private @Nullable IOException failure;

    BodyInput(Channel channel) {
        this.channel = channel;
    }

    /** Called by the event loop. */
    synchronized void add(ByteBuf content) {
        byte[] piece = new byte[content.readableBytes()];
        content.readBytes(piece);
        if (piece.length == 0 || ended) {
            return;
        }
        pieces.add(piece);
        queuedBytes += piece.length;
        if (queuedBytes >= QUEUED_BYTES_MAX && !paused) {
            paused = true;
            channel.config().setAutoRead(false);
        }
        notifyAll();
    }

    /** Called by the event loop when the body is complete. */
    synchronized void end() {
        ended = true;
        notifyAll();
    }

    /** Called by the event loop when no more will come although the body is not complete. */
    synchronized void fail(String reason) {
        if (!ended) {
            failure = new IOException(reason);
            ended = true;
            notifyAll();
        }
    }

    @Override
    public int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public synchronized int read(byte[] bytes, int offset, int length) throws IOException {
        if (length == 0) {
            return 0;
        }
        while (pieces.isEmpty() && !ended) {
            try {
                wait();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                InterruptedIOException interrupted = new InterruptedIOException("the request is given up");
                interrupted.initCause(e);
                throw interrupted;
            }
        }
        byte[] piece = pieces.peek();
        if (piece == null) {
            if (failure != null) {
                throw failure;
            }
            return -1;
        }
        int count = Math.min(length, piece.length - position);
        System.arraycopy(piece, position, bytes, offset, count);
        position += count;
        queuedBytes -= count;
        if (position == piece.length) {
            pieces.remove();
            position = 0;
        }
        if (paused && queuedBytes <= QUEUED_BYTES_MAX / 2) {
            paused = false;
            channel.config().setAutoRead(true);
        }
        return count;
    }

    /** Reads on to the end, but not for ever: the client gets to read an early answer only when it has sent all. */
    void drain(long max) {
        byte[] bytes = new byte[1 << 16];
        long left = max;
        try {
            int count;
            while (left > 0 && (count = read(bytes, 0, bytes.length)) >= 0) {
                left -= count;
            }
        } catch (IOException e) {
            // The client is gone; nobody waits for an answer.
        }
    }
}
