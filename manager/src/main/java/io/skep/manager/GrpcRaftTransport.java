package io.skep.manager;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import io.grpc.Status;
import io.grpc.stub.CallStreamObserver;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.skep.raft.RaftTransport;
import io.skep.wire.RaftGrpc;
import io.skep.wire.RaftMessage;
import io.skep.wire.RaftPart;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Carries Raft messages over streams between managers, on the port that serves nodes as well.
 *
 * <p>A stream carries messages both ways, so whichever of two managers calls first serves both; a manager whose address
 * the others do not know yet reaches them all the same. When the last stream with a peer breaks, the receiver is told
 * at once. A stream that cannot be opened is tried again with the next message, but not before a pause that grows to
 * {@value #PAUSE_MAX_MILLIS} ms.
 *
 * <p>What a peer does not take is queued up to {@value #QUEUE_BYTES_MAX} bytes, or one message of any size; further
 * messages are dropped, which Raft stands. Messages above the size that a call may have travel in parts.
 */
final class GrpcRaftTransport extends RaftGrpc.RaftImplBase implements RaftTransport {
    private static final Logger LOG = LoggerFactory.getLogger(GrpcRaftTransport.class);
    private static final int QUEUE_BYTES_MAX = 8 << 20;
    private static final int MESSAGE_BYTES_MAX = 64 << 20;
    private static final int PART_BYTES = 1 << 20;
    private static final int PAUSE_MIN_MILLIS = 50;
    private static final int PAUSE_MAX_MILLIS = 1000;

    private final PeerChannels channels;
    private final ConcurrentHashMap<String, Peer> peers = new ConcurrentHashMap<>();
    private volatile @Nullable Receiver receiver;
    private volatile boolean stopped;

    GrpcRaftTransport(PeerChannels channels) {
        this.channels = channels;
    }

    @Override
    public void start(Receiver next) {
        receiver = next;
    }

    @Override
    public void send(String nodeId, String address, RaftMessage message) {
        if (!stopped) {
            peers.computeIfAbsent(nodeId, Peer::new).send(address, message);
        }
    }

    @Override
    public void stop() {
        stopped = true;
        peers.values().forEach(Peer::close);
    }

    /** A peer opens a stream. Its certificate says who it is. */
    @Override
    public StreamObserver<RaftMessage> exchange(StreamObserver<RaftMessage> answers) {
        ServerCallStreamObserver<RaftMessage> out = (ServerCallStreamObserver<RaftMessage>) answers;
        Peer peer = peers.computeIfAbsent(Caller.current().nodeId(), Peer::new);
        Stream stream = new Stream(peer, out);
        out.setOnReadyHandler(stream::flush);
        out.setOnCancelHandler(() -> peer.broken(stream, "the peer closed the connection"));
        if (stopped) {
            out.onError(Status.UNAVAILABLE
                    .withDescription("this manager is stopping")
                    .asRuntimeException());
        } else {
            peer.opened(stream);
        }
        return stream.inbound();
    }

    /** One other manager and the streams with it. */
    private final class Peer {
        private final String nodeId;
        private @Nullable Stream ours;
        private @Nullable Stream theirs;
        private String address = "";
        private long retryNanos = System.nanoTime();
        private long pauseMillis = PAUSE_MIN_MILLIS;

        Peer(String nodeId) {
            this.nodeId = nodeId;
        }

        void send(String to, RaftMessage message) {
            Stream stream;
            synchronized (this) {
                if (!address.equals(to)) {
                    address = to;
                    retryNanos = System.nanoTime();
                    pauseMillis = PAUSE_MIN_MILLIS;
                }
                stream = theirs != null ? theirs : ours;
                if (stream == null) {
                    if (address.isEmpty() || System.nanoTime() - retryNanos < 0) {
                        return;
                    }
                    stream = dial();
                    if (stream == null) {
                        return;
                    }
                }
            }
            stream.send(message);
        }

        private @Nullable Stream dial() {
            // Until it is known to work, this is the latest time of the next try.
            pauseThenRetry();
            Dialled dialled = new Dialled(this);
            try {
                RaftGrpc.newStub(channels.to(nodeId, address))
                        .withExecutor(Runnable::run)
                        .exchange(dialled);
            } catch (RuntimeException e) {
                LOG.debug("manager {} cannot be called: {}", nodeId, e.toString());
                return null;
            }
            // A call that cannot be made may have ended already, on this very thread.
            Stream made = dialled.stream;
            ours = made == null || made.broken ? null : made;
            return ours;
        }

        private void pauseThenRetry() {
            retryNanos = System.nanoTime() + pauseMillis * 1_000_000;
            pauseMillis = Math.min(2 * pauseMillis, PAUSE_MAX_MILLIS);
        }

        synchronized void opened(Stream stream) {
            theirs = stream;
            stream.worked = true;
        }

        void received(Stream stream, RaftMessage message) {
            if (!stream.worked) {
                synchronized (this) {
                    stream.worked = true;
                    pauseMillis = PAUSE_MIN_MILLIS;
                }
            }
            Receiver to = receiver;
            if (to != null && !stopped) {
                to.received(nodeId, message);
            }
        }

        void broken(Stream stream, String reason) {
            boolean last;
            synchronized (this) {
                stream.broken = true;
                if (stream != ours && stream != theirs) {
                    return;
                }
                ours = ours == stream ? null : ours;
                theirs = theirs == stream ? null : theirs;
                last = ours == null && theirs == null && stream.worked;
            }
            LOG.debug("the connection with manager {} ended: {}", nodeId, reason);
            Receiver to = receiver;
            if (last && to != null && !stopped) {
                to.disconnected(nodeId);
            }
        }

        synchronized void close() {
            if (ours != null) {
                ours.end();
            }
            if (theirs != null) {
                theirs.end();
            }
            ours = null;
            theirs = null;
        }
    }

    /** A stream that this manager opens. */
    private static final class Dialled implements ClientResponseObserver<RaftMessage, RaftMessage> {
        private final Peer peer;
        private @Nullable Stream stream;
        private @Nullable StreamObserver<RaftMessage> inbound;

        Dialled(Peer peer) {
            this.peer = peer;
        }

        @Override
        public void beforeStart(ClientCallStreamObserver<RaftMessage> out) {
            Stream made = new Stream(peer, out);
            out.setOnReadyHandler(made::flush);
            inbound = made.inbound();
            stream = made;
        }

        @Override
        public void onNext(RaftMessage message) {
            if (inbound != null) {
                inbound.onNext(message);
            }
        }

        @Override
        public void onError(Throwable failure) {
            if (inbound != null) {
                inbound.onError(failure);
            }
        }

        @Override
        public void onCompleted() {
            if (inbound != null) {
                inbound.onCompleted();
            }
        }
    }

    /** One stream with a peer, whoever opened it. */
    private static final class Stream {
        private final Peer peer;
        private final CallStreamObserver<RaftMessage> out;
        private final ArrayDeque<RaftMessage> queue = new ArrayDeque<>();
        private long queuedBytes;
        private boolean ended;
        private volatile boolean worked;
        private volatile boolean broken;
        private @Nullable ByteArrayOutputStream parts;

        Stream(Peer peer, CallStreamObserver<RaftMessage> out) {
            this.peer = peer;
            this.out = out;
        }

        synchronized void send(RaftMessage message) {
            int size = message.getSerializedSize();
            if (queuedBytes > 0 && queuedBytes + size > QUEUE_BYTES_MAX) {
                return;
            }
            if (size <= PART_BYTES) {
                queue.add(message);
            } else {
                split(message);
            }
            queuedBytes += size;
            flush();
        }

        private void split(RaftMessage message) {
            ByteString bytes = message.toByteString();
            for (int from = 0; from < bytes.size(); from += PART_BYTES) {
                int to = Math.min(bytes.size(), from + PART_BYTES);
                queue.add(RaftMessage.newBuilder()
                        .setPart(RaftPart.newBuilder()
                                .setData(bytes.substring(from, to))
                                .setLast(to == bytes.size()))
                        .build());
            }
        }

        synchronized void flush() {
            while (!ended && !queue.isEmpty() && out.isReady()) {
                RaftMessage message = queue.remove();
                queuedBytes -= message.hasPart() ? message.getPart().getData().size() : message.getSerializedSize();
                try {
                    out.onNext(message);
                } catch (RuntimeException e) {
                    // The call is over; its end is reported to the other observer.
                    ended = true;
                    LOG.debug("manager {} takes no more messages: {}", peer.nodeId, e.toString());
                }
            }
        }

        synchronized void end() {
            if (ended) {
                return;
            }
            ended = true;
            try {
                out.onCompleted();
            } catch (RuntimeException e) {
                LOG.debug("the stream with manager {} was over already: {}", peer.nodeId, e.toString());
            }
        }

        StreamObserver<RaftMessage> inbound() {
            return new StreamObserver<>() {
                @Override
                public void onNext(RaftMessage message) {
                    RaftMessage whole = message.hasPart() ? join(message.getPart()) : message;
                    if (whole != null) {
                        peer.received(Stream.this, whole);
                    }
                }

                @Override
                public void onError(Throwable failure) {
                    peer.broken(Stream.this, failure.toString());
                }

                @Override
                public void onCompleted() {
                    peer.broken(Stream.this, "the peer is stopping");
                    end();
                }
            };
        }

        private @Nullable RaftMessage join(RaftPart part) {
            ByteArrayOutputStream joined = parts == null ? new ByteArrayOutputStream(2 * PART_BYTES) : parts;
            parts = joined;
            try {
                if (joined.size() + part.getData().size() > MESSAGE_BYTES_MAX) {
                    throw new IOException("a message of more than " + MESSAGE_BYTES_MAX + " bytes");
                }
                part.getData().writeTo(joined);
                if (!part.getLast()) {
                    return null;
                }
                parts = null;
                return RaftMessage.parseFrom(joined.toByteArray());
            } catch (InvalidProtocolBufferException e) {
                LOG.warn("manager {} sent parts that make no message", peer.nodeId, e);
            } catch (IOException e) {
                LOG.warn("manager {} sent {}", peer.nodeId, e.getMessage());
                parts = null;
            }
            return null;
        }
    }
}
