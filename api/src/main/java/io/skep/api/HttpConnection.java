package io.skep.api;

import com.google.protobuf.ByteString;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.socket.ChannelInputShutdownEvent;
import io.netty.channel.socket.DuplexChannel;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.DefaultHttpContent;
import io.netty.handler.codec.http.DefaultHttpResponse;
import io.netty.handler.codec.http.FullHttpResponse;
import io.netty.handler.codec.http.HttpContent;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpHeaderValues;
import io.netty.handler.codec.http.HttpHeaders;
import io.netty.handler.codec.http.HttpMethod;
import io.netty.handler.codec.http.HttpObject;
import io.netty.handler.codec.http.HttpRequest;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.handler.codec.http.HttpUtil;
import io.netty.handler.codec.http.HttpVersion;
import io.netty.handler.codec.http.LastHttpContent;
import io.netty.handler.codec.http.TooLongHttpHeaderException;
import io.netty.handler.codec.http.TooLongHttpLineException;
import io.netty.handler.ssl.SslCloseCompletionEvent;
import io.netty.handler.ssl.SslHandler;
import io.netty.util.ReferenceCountUtil;
import io.netty.util.concurrent.Future;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One client connection: reads requests one after the other and writes their answers in the same order.
 *
 * <p>All fields belong to the event loop of the channel, except those of {@link Stream}. A whole request is handed to a
 * virtual thread; what the client sends meanwhile waits in {@link #waiting}, and reading stops when that holds
 * {@value #WAITING_MAX} parts. A request's body is at most {@link #BODY_BYTES_MAX} bytes: a longer one is read to its
 * end but not kept, up to {@link #DISCARDED_BYTES_MAX}, so that the client gets to read the refusal. A request must be
 * complete within {@link #REQUEST_TIME_MAX} of its head, and a connection without request is closed after
 * {@link #IDLE_TIME_MAX}.
 *
 * <p>Endpoints that ask for it get their body as a {@link BodyInput} while it comes, without a limit of length or time.
 *
 * <p>Half-closed connections: a client that only ends its own sending still gets the answer to what it asked, but a
 * stream ends, as it is how most clients leave. A stream in both directions goes on until its other side ends.
 */
final class HttpConnection extends ChannelInboundHandlerAdapter {
    private static final Logger LOG = LoggerFactory.getLogger(HttpConnection.class);

    static final int BODY_BYTES_MAX = 8 << 20;
    static final long DISCARDED_BYTES_MAX = 64L << 20;
    static final Duration REQUEST_TIME_MAX = Duration.ofMinutes(1);
    static final Duration IDLE_TIME_MAX = Duration.ofMinutes(5);
    private static final Duration LINGER_TIME_MAX = Duration.ofSeconds(2);
    private static final int WAITING_MAX = 64;
    private static final String CLIENT_GONE = "the client went away in the middle of the request";
    private static final DateTimeFormatter DATE = DateTimeFormatter.RFC_1123_DATE_TIME;

    private final Router router;
    private final Map<String, String> commonHeaders;
    private final Deque<HttpObject> waiting = new ArrayDeque<>();
    private @Nullable HttpRequest head;
    private ByteString.Output body = ByteString.newOutput();
    private long discarded;
    private boolean busy;
    private boolean inputEnded;
    private boolean stopping;

    /** Whether all is said, and what still comes is only read so that the client gets to hear it. */
    private boolean lingering;

    private @Nullable Future<?> timer;
    private @Nullable Stream stream;
    private @Nullable Duplex duplex;

    /** The body of the request that runs, while it comes. */
    private @Nullable BodyInput incoming;

    HttpConnection(Router router, Map<String, String> commonHeaders) {
        this.router = router;
        this.commonHeaders = commonHeaders;
    }

    @Override
    public void handlerAdded(ChannelHandlerContext context) {
        limitTime(context, IDLE_TIME_MAX);
    }

    @Override
    public void channelRead(ChannelHandlerContext context, Object message) {
        if (duplex != null && message instanceof ByteBuf bytes) {
            duplex.received(bytes);
            bytes.release();
            return;
        }
        if (lingering || !(message instanceof HttpObject part)) {
            ReferenceCountUtil.release(message);
            return;
        }
        if (incoming != null && part instanceof HttpContent content) {
            receive(incoming, content);
            return;
        }
        if (busy) {
            waiting.add(part);
            if (waiting.size() >= WAITING_MAX) {
                context.channel().config().setAutoRead(false);
            }
            return;
        }
        take(context, part);
    }

    private void receive(BodyInput input, HttpContent content) {
        try {
            if (content.decoderResult().isFailure()) {
                input.fail("malformed HTTP request: "
                        + content.decoderResult().cause().getMessage());
            }
            input.add(content.content());
            if (content instanceof LastHttpContent) {
                input.end();
                incoming = null;
            }
        } finally {
            ReferenceCountUtil.release(content);
        }
    }

    private void take(ChannelHandlerContext context, HttpObject part) {
        try {
            if (part.decoderResult().isFailure()) {
                refuse(context, part.decoderResult().cause());
                return;
            }
            if (part instanceof HttpRequest request) {
                begin(context, request);
            }
            if (part instanceof HttpContent content && head != null) {
                keep(context, content.content());
            }
            if (part instanceof LastHttpContent && head != null) {
                run(context, head);
            }
        } finally {
            ReferenceCountUtil.release(part);
        }
    }

    private Router.Input inputOf(HttpRequest request) {
        return router.input(request.method().name(), request.uri());
    }

    private void begin(ChannelHandlerContext context, HttpRequest request) {
        head = request;
        body = ByteString.newOutput();
        discarded = 0;
        limitTime(context, REQUEST_TIME_MAX);
        boolean streamed = inputOf(request) == Router.Input.STREAMED;
        if (HttpUtil.is100ContinueExpected(request)) {
            if (!streamed && HttpUtil.getContentLength(request, 0L) > BODY_BYTES_MAX) {
                close(context, tooLarge());
                return;
            }
            var _ = context.writeAndFlush(new DefaultFullHttpResponse(
                    HttpVersion.HTTP_1_1, HttpResponseStatus.CONTINUE, Unpooled.EMPTY_BUFFER));
        }
        if (streamed) {
            runStreamed(context, request);
        }
    }

    /** Runs a request whose body is read while it comes; what follows the body waits for the answer, as ever. */
    private void runStreamed(ChannelHandlerContext context, HttpRequest request) {
        head = null;
        busy = true;
        stopTimer();
        boolean keepAlive = HttpUtil.isKeepAlive(request) && !stopping;
        BodyInput input = new BodyInput(context.channel());
        incoming = input;
        if (inputEnded) {
            input.fail(CLIENT_GONE);
        }
        Thread.ofVirtual().name("api-request").start(() -> {
            Reply reply = router.answer(request.method().name(), request.uri(), request.headers(), input);
            LOG.debug("{} {} {}", request.method(), request.uri(), reply.status());
            if (reply instanceof Reply.Streamed streamed) {
                stream(context, request, streamed, keepAlive);
            } else {
                input.drain(DISCARDED_BYTES_MAX);
                send(context.channel(), request, (Reply.Whole) reply, keepAlive);
            }
        });
    }

    private void keep(ChannelHandlerContext context, ByteBuf content) {
        int length = content.readableBytes();
        if (discarded > 0 || body.size() + length > BODY_BYTES_MAX) {
            discarded += length;
            if (discarded > DISCARDED_BYTES_MAX) {
                close(context, tooLarge());
            }
            return;
        }
        try {
            content.readBytes(body, length);
        } catch (IOException e) {
            throw new IllegalStateException("a buffer in memory failed", e);
        }
    }

    private void run(ChannelHandlerContext context, HttpRequest request) {
        head = null;
        busy = true;
        stopTimer();
        boolean keepAlive = HttpUtil.isKeepAlive(request) && !stopping;
        ByteString received = body.toByteString();
        body = ByteString.newOutput();
        boolean tooLarge = discarded > 0;
        if (!tooLarge && inputOf(request) == Router.Input.CONNECTION) {
            takeOver(context, request, received);
            return;
        }
        Thread.ofVirtual().name("api-request").start(() -> {
            Reply reply = tooLarge
                    ? tooLarge()
                    : router.answer(request.method().name(), request.uri(), request.headers(), received);
            LOG.debug("{} {} {}", request.method(), request.uri(), reply.status());
            switch (reply) {
                case Reply.Whole whole -> send(context.channel(), request, whole, keepAlive);
                case Reply.Streamed streamed -> stream(context, request, streamed, keepAlive);
                case Reply.Duplex _ -> throw new IllegalStateException("the route takes no connection over");
            }
        });
    }

    /**
     * Takes HTTP out of the connection at once, before another byte is decoded: what follows the request may be input
     * already. An answer that is no stream is written by hand and is the last one.
     */
    private void takeOver(ChannelHandlerContext context, HttpRequest request, ByteString received) {
        Channel channel = context.channel();
        Duplex taken = new Duplex(channel, request.headers().contains(HttpHeaderNames.UPGRADE), commonHeaders);
        duplex = taken;
        context.pipeline().remove(HttpServerCodec.class);
        if (inputEnded) {
            taken.inputEnded();
        }
        Thread.ofVirtual().name("api-stream").start(() -> {
            String method = request.method().name();
            Reply reply = router.answer(method, request.uri(), request.headers(), received);
            if (reply instanceof Reply.Duplex(Reply.DuplexBody serving)) {
                try {
                    serving.serve(taken);
                } catch (Exception e) {
                    if (taken.hasBegun()) {
                        LOG.debug("{} {} ended: {}", method, request.uri(), e.toString());
                    } else {
                        reply = router.failure(method, request.uri(), e);
                    }
                }
            }
            LOG.debug("{} {} {}", method, request.uri(), reply.status());
            ByteBuf last = reply instanceof Reply.Whole whole ? plain(whole) : Unpooled.EMPTY_BUFFER;
            channel.writeAndFlush(last).addListener(ChannelFutureListener.CLOSE);
        });
    }

    private ByteBuf plain(Reply.Whole reply) {
        StringBuilder text = new StringBuilder("HTTP/1.1 ")
                .append(HttpResponseStatus.valueOf(reply.status()))
                .append("\r\n");
        commonHeaders.forEach(
                (name, value) -> text.append(name).append(": ").append(value).append("\r\n"));
        if (!reply.contentType().isEmpty()) {
            text.append("Content-Type: ").append(reply.contentType()).append("\r\n");
        }
        text.append("Content-Length: ").append(reply.body().size()).append("\r\nConnection: close\r\n\r\n");
        return Unpooled.wrappedBuffer(
                Unpooled.copiedBuffer(text, StandardCharsets.US_ASCII),
                Unpooled.wrappedBuffer(reply.body().asReadOnlyByteBuffer()));
    }

    private static Reply.Whole tooLarge() {
        return (Reply.Whole) Reply.error(
                413, "the request body is larger than the " + BODY_BYTES_MAX + " bytes that a request may have");
    }

    private void send(Channel channel, HttpRequest request, Reply.Whole reply, boolean keepAlive) {
        FullHttpResponse response = new DefaultFullHttpResponse(
                HttpVersion.HTTP_1_1,
                HttpResponseStatus.valueOf(reply.status()),
                Unpooled.wrappedBuffer(reply.body().asReadOnlyByteBuffer()));
        common(response.headers());
        reply.headers().forEach((name, value) -> response.headers().set(name, value));
        if (!reply.contentType().isEmpty()) {
            response.headers().set(HttpHeaderNames.CONTENT_TYPE, reply.contentType());
        }
        if (reply.status() != 204 && reply.status() != 304) {
            response.headers().set(HttpHeaderNames.CONTENT_LENGTH, reply.body().size());
        }
        if (keepAlive && request.protocolVersion().equals(HttpVersion.HTTP_1_0)) {
            response.headers().set(HttpHeaderNames.CONNECTION, HttpHeaderValues.KEEP_ALIVE);
        }
        channel.writeAndFlush(response).addListener((ChannelFutureListener) done -> finish(done.channel(), keepAlive));
    }

    /** Runs on the virtual thread of the request. */
    private void stream(ChannelHandlerContext context, HttpRequest request, Reply.Streamed reply, boolean keepAlive) {
        Channel channel = context.channel();
        boolean chunked = !request.protocolVersion().equals(HttpVersion.HTTP_1_0);
        DefaultHttpResponse response =
                new DefaultHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.valueOf(reply.status()));
        common(response.headers());
        response.headers().set(HttpHeaderNames.CONTENT_TYPE, reply.contentType());
        reply.headers().forEach((name, value) -> response.headers().set(name, value));
        if (chunked) {
            response.headers().set(HttpHeaderNames.TRANSFER_ENCODING, HttpHeaderValues.CHUNKED);
        } else {
            response.headers().set(HttpHeaderNames.CONNECTION, HttpHeaderValues.CLOSE);
        }
        Stream writing = new Stream(channel);
        channel.eventLoop().execute(() -> {
            stream = writing;
            if (inputEnded || stopping || !channel.isActive()) {
                writing.end();
            }
        });
        var _ = channel.writeAndFlush(response);
        boolean whole = false;
        if (!request.method().equals(HttpMethod.HEAD)) {
            try {
                reply.body().writeTo(writing);
                whole = true;
            } catch (IOException e) {
                LOG.debug("{} {} ended: {}", request.method(), request.uri(), e.getMessage());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            } catch (RuntimeException e) {
                LOG.error("{} {} failed while it was answered", request.method(), request.uri(), e);
            }
        }
        boolean open = whole && chunked && keepAlive;
        if (!whole) {
            var _ = channel.close();
        }
        channel.writeAndFlush(LastHttpContent.EMPTY_LAST_CONTENT)
                .addListener((ChannelFutureListener) done -> finish(done.channel(), open));
    }

    private void common(HttpHeaders headers) {
        commonHeaders.forEach((name, value) -> headers.set(name, value));
        headers.set(HttpHeaderNames.DATE, DATE.format(Instant.now().atOffset(ZoneOffset.UTC)));
    }

    /** Runs on the event loop when an answer is written. */
    private void finish(Channel channel, boolean open) {
        stream = null;
        // Whoever is answered in the middle of a body may not send another request behind it.
        boolean unread = incoming != null;
        if (!open || unread || stopping || !channel.isActive() || (inputEnded && waiting.isEmpty())) {
            var _ = channel.close();
            return;
        }
        busy = false;
        ChannelHandlerContext context = channel.pipeline().context(this);
        limitTime(context, IDLE_TIME_MAX);
        while (!busy && !waiting.isEmpty()) {
            take(context, waiting.remove());
        }
        while (incoming != null && waiting.peek() instanceof HttpContent content) {
            waiting.remove();
            receive(incoming, content);
        }
        if (waiting.size() < WAITING_MAX) {
            channel.config().setAutoRead(true);
        }
    }

    private void refuse(ChannelHandlerContext context, Throwable cause) {
        int status = switch (cause) {
            case TooLongHttpLineException line -> 414;
            case TooLongHttpHeaderException header -> 431;
            default -> 400;
        };
        close(context, (Reply.Whole) Reply.error(status, "malformed HTTP request: " + cause.getMessage()));
    }

    /** Answers out of turn and closes. */
    private void close(ChannelHandlerContext context, Reply.Whole reply) {
        head = null;
        busy = true;
        stopTimer();
        FullHttpResponse response = new DefaultFullHttpResponse(
                HttpVersion.HTTP_1_1,
                HttpResponseStatus.valueOf(reply.status()),
                Unpooled.wrappedBuffer(reply.body().asReadOnlyByteBuffer()));
        common(response.headers());
        response.headers()
                .set(HttpHeaderNames.CONTENT_TYPE, reply.contentType())
                .set(HttpHeaderNames.CONTENT_LENGTH, reply.body().size())
                .set(HttpHeaderNames.CONNECTION, HttpHeaderValues.CLOSE);
        context.writeAndFlush(response).addListener((ChannelFutureListener) written -> linger(context));
    }

    /** Reads on for a while: a socket that is closed with bytes unread resets, and the client never sees its answer. */
    private void linger(ChannelHandlerContext context) {
        boolean encrypted = context.pipeline().get(SslHandler.class) != null;
        if (inputEnded || encrypted || !(context.channel() instanceof DuplexChannel channel)) {
            var _ = context.close();
            return;
        }
        lingering = true;
        limitTime(context, LINGER_TIME_MAX);
        var _ = channel.shutdownOutput();
        channel.config().setAutoRead(true);
    }

    private void limitTime(ChannelHandlerContext context, Duration limit) {
        stopTimer();
        timer = context.executor()
                .schedule(
                        () -> {
                            if (head != null) {
                                close(context, (Reply.Whole) Reply.error(
                                        408, "the request was not complete within " + limit.toSeconds() + " s"));
                            } else {
                                var _ = context.close();
                            }
                        },
                        limit.toMillis(),
                        TimeUnit.MILLISECONDS);
    }

    private void stopTimer() {
        if (timer != null) {
            timer.cancel(false);
            timer = null;
        }
    }

    @Override
    public void userEventTriggered(ChannelHandlerContext context, Object event) {
        if (event instanceof ChannelInputShutdownEvent || event instanceof SslCloseCompletionEvent) {
            inputEnded = true;
            if (stream != null) {
                stream.end();
            }
            if (duplex != null) {
                duplex.inputEnded();
            }
            if (incoming != null) {
                incoming.fail(CLIENT_GONE);
            }
            if (!busy || lingering) {
                var _ = context.close();
            }
        }
        context.fireUserEventTriggered(event);
    }

    /** Ends the connection after the request that it now serves, at once if it serves none; streams end. */
    void stop(Channel channel) {
        channel.eventLoop().execute(() -> {
            stopping = true;
            if (stream != null) {
                stream.end();
            }
            if (duplex != null) {
                duplex.end();
            }
            if (incoming != null) {
                incoming.fail("the engine is stopping");
            }
            if (!busy && head == null) {
                var _ = channel.close();
            }
        });
    }

    @Override
    public void channelInactive(ChannelHandlerContext context) {
        stopTimer();
        if (stream != null) {
            stream.end();
        }
        if (duplex != null) {
            duplex.end();
        }
        if (incoming != null) {
            incoming.fail(CLIENT_GONE);
        }
        waiting.forEach(ReferenceCountUtil::release);
        waiting.clear();
        context.fireChannelInactive();
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
        LOG.debug("connection of {} broke: {}", context.channel().remoteAddress(), cause.toString());
        var _ = context.close();
    }

    /** The body of a streamed answer; safe for use by several threads. */
    private static final class Stream implements ResponseStream {
        private final Outgoing outgoing;

        Stream(Channel channel) {
            outgoing = new Outgoing(channel);
        }

        @Override
        public void write(byte[] piece) throws IOException, InterruptedException {
            if (piece.length > 0) {
                outgoing.write(new DefaultHttpContent(Unpooled.wrappedBuffer(piece)));
            }
        }

        @Override
        public void onEnd(Runnable action) {
            outgoing.onEnd(action);
        }

        void end() {
            outgoing.end();
        }
    }
}
