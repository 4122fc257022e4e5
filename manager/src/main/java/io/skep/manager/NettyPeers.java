package io.skep.manager;

import io.grpc.ManagedChannel;
import io.grpc.netty.NettyChannelBuilder;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoopGroup;
import io.skep.certs.NodeIdentity;
import io.skep.certs.TlsIdentity;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;

/**
 * Connections to other managers, one for each, shared by all that talk to it.
 *
 * <p>Who is called is proved by the certificate and not by the address. A peer that falls silent is noticed by
 * unanswered pings while anything waits for it. Safe for use by many threads.
 */
final class NettyPeers implements PeerChannels, AutoCloseable {
    private static final int KEEPALIVE_SECONDS = 2;
    private static final int CONNECT_MILLIS = 2000;
    private static final int INBOUND_BYTES_MAX = 16 << 20;

    private record Peer(String address, ManagedChannel channel) {}

    private final TlsIdentity identity;
    private final EventLoopGroup eventLoops;
    private final Executor executor;
    private final Map<String, Peer> peers = new HashMap<>();
    private boolean closed;

    NettyPeers(TlsIdentity identity, EventLoopGroup eventLoops, Executor executor) {
        this.identity = identity;
        this.eventLoops = eventLoops;
        this.executor = executor;
    }

    /** Returns the channel to a manager. One that failed before tries again at once. */
    @Override
    public synchronized ManagedChannel to(String nodeId, String address) {
        if (closed) {
            throw new IllegalStateException("this manager is stopping");
        }
        Peer known = peers.get(nodeId);
        if (known != null && known.address().equals(address)) {
            known.channel().resetConnectBackoff();
            return known.channel();
        }
        if (known != null) {
            known.channel().shutdownNow();
        }
        Peer made = new Peer(address, open(nodeId, address));
        peers.put(nodeId, made);
        return made.channel();
    }

    /** Ends the connection to a manager, if there is one. */
    synchronized void forget(String nodeId) {
        Peer known = peers.remove(nodeId);
        if (known != null) {
            known.channel().shutdownNow();
        }
    }

    private ManagedChannel open(String name, String address) {
        return NettyChannelBuilder.forTarget("dns:///" + address)
                .eventLoopGroup(eventLoops)
                .channelType(NetworkTransport.best().channel())
                .sslContext(ManagerTls.client(identity, name))
                .overrideAuthority(NodeIdentity.MANAGER_NAME)
                .executor(executor)
                .maxInboundMessageSize(INBOUND_BYTES_MAX)
                .keepAliveTime(KEEPALIVE_SECONDS, TimeUnit.SECONDS)
                .keepAliveTimeout(KEEPALIVE_SECONDS, TimeUnit.SECONDS)
                .withOption(ChannelOption.CONNECT_TIMEOUT_MILLIS, CONNECT_MILLIS)
                .disableRetry()
                .build();
    }

    @Override
    public synchronized void close() {
        closed = true;
        peers.values().forEach(peer -> peer.channel().shutdownNow());
        peers.clear();
    }
}
