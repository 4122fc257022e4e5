package io.skep.raft;

import io.skep.wire.RaftMessage;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import org.jspecify.annotations.Nullable;

/**
 * Transports of several managers in one process, found by address. Each delivers on a thread of its own, in order, and
 * can be cut off silently or killed so that its peers notice.
 */
final class MemoryTransport implements RaftTransport {
    /** What they share. */
    static final class Net {
        private final Map<String, MemoryTransport> byAddress = new ConcurrentHashMap<>();

        /** Ends a manager's connections so that all others see them break. */
        void kill(MemoryTransport killed) {
            byAddress.remove(killed.address, killed);
            killed.cut = true;
            for (MemoryTransport other : byAddress.values()) {
                Receiver receiver = other.receiver;
                if (receiver != null) {
                    receiver.disconnected(killed.nodeId);
                }
            }
        }
    }

    private record Delivery(String from, RaftMessage message) {}

    private final Net net;
    private final String nodeId;
    private final String address;
    private final LinkedBlockingQueue<Delivery> queue = new LinkedBlockingQueue<>();
    private volatile boolean cut;
    private volatile @Nullable Receiver receiver;
    private @Nullable Thread thread;

    MemoryTransport(Net net, String nodeId, String address) {
        this.net = net;
        this.nodeId = nodeId;
        this.address = address;
    }

    /** Loses everything from and to this manager, without anyone being told. */
    void cut(boolean on) {
        cut = on;
    }

    @Override
    public void start(Receiver newReceiver) {
        receiver = newReceiver;
        net.byAddress.put(address, this);
        thread = Thread.ofVirtual().start(() -> {
            try {
                while (true) {
                    Delivery delivery = queue.take();
                    newReceiver.received(delivery.from(), delivery.message());
                }
            } catch (InterruptedException e) {
                // Stopped.
            }
        });
    }

    @Override
    public void send(String to, String toAddress, RaftMessage message) {
        MemoryTransport target = net.byAddress.get(toAddress);
        if (target != null && !cut && !target.cut && target.nodeId.equals(to)) {
            target.queue.add(new Delivery(nodeId, message));
        }
    }

    @Override
    public void stop() {
        net.byAddress.remove(address, this);
        receiver = null;
        Thread running = thread;
        if (running != null) {
            running.interrupt();
        }
    }
}
