package io.skep.api;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;

/**
 * A connection after HTTP was taken out of it: bytes both ways, each side with an end of its own.
 *
 * <p>What the client sends waits in a queue; reading from the connection stops while that holds
 * {@value #QUEUE_BYTES_MAX} bytes. Writing waits until the connection took the bytes, so a slow client slows down
 * whoever writes. The event loop calls {@link #received}, {@link #inputEnded} and {@link #end}; everything else any
 * thread.
 */
final class Duplex implements DuplexStream {
    private static final int QUEUE_BYTES_MAX = 256 << 10;

    private final Channel channel;
    private final Outgoing outgoing;
    private final boolean upgrade;
    private final Map<String, String> headers;
    private final CountDownLatch begun = new CountDownLatch(1);
    private final Deque<byte[]> queue = new ArrayDeque<>();
    private int queuedBytes;
    private boolean inputEnded;
    private boolean ended;

    /**
     * Takes a connection over.
     *
     * @param upgrade whether the client asked for it in HTTP's words and gets an answer in them
     * @param headers of the answer
     */
    Duplex(Channel channel, boolean upgrade, Map<String, String> headers) {
        this.channel = channel;
        this.outgoing = new Outgoing(channel);
        this.upgrade = upgrade;
        this.headers = headers;
    }

    @Override
    public void begin(String contentType) {
        StringBuilder head = new StringBuilder(upgrade ? "HTTP/1.1 101 UPGRADED\r\n" : "HTTP/1.1 200 OK\r\n");
        head.append("Content-Type: ").append(contentType).append("\r\n");
        if (upgrade) {
            head.append("Connection: Upgrade\r\nUpgrade: tcp\r\n");
        }
        headers.forEach(
                (name, value) -> head.append(name).append(": ").append(value).append("\r\n"));
        var _ = channel.writeAndFlush(Unpooled.copiedBuffer(head.append("\r\n").toString(), StandardCharsets.US_ASCII));
        begun.countDown();
    }

    boolean hasBegun() {
        return begun.getCount() == 0;
    }

    @Override
    public void write(byte[] piece) throws IOException, InterruptedException {
        if (piece.length == 0) {
            return;
        }
        begun.await();
        outgoing.write(Unpooled.wrappedBuffer(piece));
    }

    @Override
    public synchronized byte @Nullable [] read() throws IOException, InterruptedException {
        while (queue.isEmpty() && !inputEnded && !ended) {
            wait();
        }
        byte[] piece = queue.poll();
        if (piece == null) {
            if (!inputEnded) {
                throw new IOException("the client is gone");
            }
            return null;
        }
        if (queuedBytes >= QUEUE_BYTES_MAX && queuedBytes - piece.length < QUEUE_BYTES_MAX) {
            channel.config().setAutoRead(true);
        }
        queuedBytes -= piece.length;
        return piece;
    }

    synchronized void received(ByteBuf bytes) {
        byte[] piece = new byte[bytes.readableBytes()];
        bytes.readBytes(piece);
        queue.add(piece);
        queuedBytes += piece.length;
        if (queuedBytes >= QUEUE_BYTES_MAX) {
            channel.config().setAutoRead(false);
        }
        notifyAll();
    }

    synchronized void inputEnded() {
        inputEnded = true;
        notifyAll();
    }

    @Override
    public void onEnd(Runnable action) {
        outgoing.onEnd(action);
    }

    /** The client is gone, or the server stops. */
    void end() {
        synchronized (this) {
            ended = true;
            notifyAll();
        }
        outgoing.end();
    }
}
