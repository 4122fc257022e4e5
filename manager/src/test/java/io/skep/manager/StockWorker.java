package io.skep.manager;

import com.google.protobuf.ByteString;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import io.grpc.stub.MetadataUtils;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import io.skep.certs.CertificateRequest;
import io.skep.certs.NodeCredentials;
import io.skep.certs.TlsIdentity;
import io.skep.certs.TlsMaterial;
import io.skep.certs.TrustRoot;
import io.skep.wire.AssignmentsMessage;
import io.skep.wire.AssignmentsRequest;
import io.skep.wire.CAGrpc;
import io.skep.wire.DispatcherGrpc;
import io.skep.wire.EngineDescription;
import io.skep.wire.GetRootCACertificateRequest;
import io.skep.wire.HeartbeatRequest;
import io.skep.wire.HeartbeatResponse;
import io.skep.wire.IssuanceStatus;
import io.skep.wire.IssueNodeCertificateRequest;
import io.skep.wire.IssueNodeCertificateResponse;
import io.skep.wire.NodeCAGrpc;
import io.skep.wire.NodeCertificateStatusRequest;
import io.skep.wire.NodeCertificateStatusResponse;
import io.skep.wire.NodeDescription;
import io.skep.wire.Platform;
import io.skep.wire.Resources;
import io.skep.wire.SessionMessage;
import io.skep.wire.SessionRequest;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import io.skep.wire.UpdateTaskStatusRequest;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import javax.net.ssl.SSLException;
import javax.net.ssl.X509ExtendedTrustManager;
import org.jspecify.annotations.Nullable;

/** A worker that does what a stock engine does, call by call and over real TLS, when the test says so. */
final class StockWorker implements AutoCloseable {
    private static final int PATIENCE_SECONDS = 15;

    /** What came on a stream, and how it ended. */
    static final class Received<T> {
        private record Item<T>(
                @Nullable T message, @Nullable Throwable failure) {}

        private final BlockingQueue<Item<T>> items = new LinkedBlockingQueue<>();
        private @Nullable ClientCallStreamObserver<?> call;

        <Q> ClientResponseObserver<Q, T> observer() {
            return new ClientResponseObserver<>() {
                @Override
                public void beforeStart(ClientCallStreamObserver<Q> started) {
                    call = started;
                }

                @Override
                public void onNext(T message) {
                    items.add(new Item<>(message, null));
                }

                @Override
                public void onError(Throwable failure) {
                    items.add(new Item<>(null, failure));
                }

                @Override
                public void onCompleted() {
                    items.add(new Item<>(null, null));
                }
            };
        }

        T next() throws InterruptedException {
            Item<T> item = take();
            if (item.message() == null) {
                throw new AssertionError("the stream ended: " + item.failure());
            }
            return item.message();
        }

        /** Returns the first message that is as wanted. */
        T until(Predicate<T> wanted) throws InterruptedException {
            T message = next();
            while (!wanted.test(message)) {
                message = next();
            }
            return message;
        }

        /** Returns the last message before the stream ended. */
        T last() throws InterruptedException {
            T message = next();
            for (Item<T> item = take(); item.message() != null; item = take()) {
                message = item.message();
            }
            return message;
        }

        /** Returns how the stream ended, after any messages. */
        StatusRuntimeException end() throws InterruptedException {
            Item<T> item = take();
            while (item.message() != null) {
                item = take();
            }
            if (item.failure() instanceof StatusRuntimeException status) {
                return status;
            }
            throw new AssertionError("the stream ended without a status: " + item.failure());
        }

        private Item<T> take() throws InterruptedException {
            Item<T> item = items.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
            if (item == null) {
                throw new AssertionError("nothing came");
            }
            return item;
        }

        void cancel() {
            if (call != null) {
                call.cancel("the test ends it", null);
            }
        }
    }

    private final String address;
    private final TrustRoot trust;
    private final List<ManagedChannel> channels = new ArrayList<>();
    private final Metadata metadata = new Metadata();
    private Platform platform =
            Platform.newBuilder().setArchitecture("x86_64").setOs("linux").build();
    private String nodeId = "";
    private @Nullable TlsIdentity identity;
    private @Nullable ManagedChannel trusted;

    StockWorker(String address, TrustRoot trust) {
        this.address = address;
        this.trust = trust;
    }

    /** From now on the calls say that they come from a Skep node. */
    StockWorker asSkep() {
        metadata.put(SkepNodes.VERSION, "test");
        return this;
    }

    /** From now on the worker tells that it is such a machine. */
    StockWorker on(Platform told) {
        platform = told;
        return this;
    }

    /** Returns a worker of the same node that talks to another manager. */
    StockWorker at(String otherAddress) {
        StockWorker other = new StockWorker(otherAddress, trust);
        other.nodeId = nodeId;
        other.identity = identity;
        return other;
    }

    /** Uses a certificate that did not come from a manager. */
    StockWorker with(String id, TlsIdentity given) {
        nodeId = id;
        identity = given;
        return this;
    }

    String nodeId() {
        return nodeId;
    }

    TlsIdentity identity() {
        if (identity == null) {
            throw new IllegalStateException("not joined");
        }
        return identity;
    }

    ByteString downloadRoot() {
        TlsIdentity nobody = new TlsIdentity(new TlsMaterial(List.of(), List.of(), null), InstantSource.system());
        return CAGrpc.newBlockingStub(channel(nobody, TlsIdentity.unverifiedServerTrust()))
                .getRootCACertificate(GetRootCACertificateRequest.getDefaultInstance())
                .getCertificate();
    }

    /** Asks for a first certificate and waits for it. */
    void join(String token) throws Exception {
        CertificateRequest request = CertificateRequest.generate();
        NodeCAGrpc.NodeCABlockingStub authority = anonymous();
        IssueNodeCertificateResponse issued = authority.issueNodeCertificate(IssueNodeCertificateRequest.newBuilder()
                .setCsr(request.pem())
                .setToken(token)
                .build());
        nodeId = issued.getNodeId();
        accept(authority, request);
    }

    /** Renews the certificate over the connection that the old one proves. */
    void renew() throws Exception {
        CertificateRequest request = CertificateRequest.generate();
        NodeCAGrpc.NodeCABlockingStub authority = NodeCAGrpc.newBlockingStub(channel())
                .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(metadata));
        IssueNodeCertificateResponse issued = authority.issueNodeCertificate(
                IssueNodeCertificateRequest.newBuilder().setCsr(request.pem()).build());
        if (!issued.getNodeId().equals(nodeId)) {
            throw new AssertionError("the renewal made node " + issued.getNodeId() + " of node " + nodeId);
        }
        accept(authority, request);
    }

    private void accept(NodeCAGrpc.NodeCABlockingStub authority, CertificateRequest request) throws Exception {
        NodeCertificateStatusResponse status = authority
                .withDeadlineAfter(PATIENCE_SECONDS, TimeUnit.SECONDS)
                .nodeCertificateStatus(NodeCertificateStatusRequest.newBuilder()
                        .setNodeId(nodeId)
                        .build());
        if (status.getStatus().getState() != IssuanceStatus.State.ISSUED
                || !status.getCertificate().getCsr().equals(request.pem())) {
            throw new AssertionError("not the certificate that was asked for: " + status);
        }
        NodeCredentials credentials =
                NodeCredentials.accept(trust, status.getCertificate().getCertificate(), request, Instant.now());
        identity = new TlsIdentity(TlsMaterial.of(credentials), InstantSource.system());
        trusted = null;
    }

    NodeCAGrpc.NodeCABlockingStub anonymous() {
        TlsIdentity nobody = new TlsIdentity(TlsMaterial.anonymous(trust), InstantSource.system());
        return NodeCAGrpc.newBlockingStub(channel(nobody, nobody.serverTrust("swarm-ca")))
                .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(metadata));
    }

    Received<SessionMessage> session(String resume) {
        Received<SessionMessage> received = new Received<>();
        DispatcherGrpc.newStub(channel())
                .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(metadata))
                .session(
                        SessionRequest.newBuilder()
                                .setSessionId(resume)
                                .setDescription(description())
                                .build(),
                        received.observer());
        return received;
    }

    Received<AssignmentsMessage> assignments(String sessionId) {
        Received<AssignmentsMessage> received = new Received<>();
        DispatcherGrpc.newStub(channel())
                .assignments(
                        AssignmentsRequest.newBuilder().setSessionId(sessionId).build(), received.observer());
        return received;
    }

    HeartbeatResponse heartbeat(String sessionId) {
        return DispatcherGrpc.newBlockingStub(channel())
                .heartbeat(HeartbeatRequest.newBuilder().setSessionId(sessionId).build());
    }

    void report(String sessionId, String taskId, TaskState state) {
        var _ = DispatcherGrpc.newBlockingStub(channel())
                .updateTaskStatus(UpdateTaskStatusRequest.newBuilder()
                        .setSessionId(sessionId)
                        .addUpdates(UpdateTaskStatusRequest.TaskStatusUpdate.newBuilder()
                                .setTaskId(taskId)
                                .setStatus(TaskStatus.newBuilder().setState(state)))
                        .build());
    }

    private NodeDescription description() {
        return NodeDescription.newBuilder()
                .setHostname("worker")
                .setPlatform(platform)
                .setResources(Resources.newBuilder().setNanoCpus(4_000_000_000L).setMemoryBytes(8L << 30))
                .setEngine(EngineDescription.newBuilder().setEngineVersion("20.10.24"))
                .build();
    }

    /** Returns the connection that shows the certificate. */
    ManagedChannel channel() {
        ManagedChannel known = trusted;
        if (known == null) {
            TlsIdentity shown = identity();
            known = channel(shown, shown.serverTrust("swarm-manager"));
            trusted = known;
        }
        return known;
    }

    private ManagedChannel channel(TlsIdentity shown, X509ExtendedTrustManager trustManager) {
        try {
            ManagedChannel channel = NettyChannelBuilder.forTarget("dns:///" + address)
                    .sslContext(GrpcSslContexts.configure(SslContextBuilder.forClient(), SslProvider.JDK)
                            .keyManager(shown.keyManager())
                            .trustManager(trustManager)
                            .build())
                    .overrideAuthority("swarm-manager")
                    .build();
            channels.add(channel);
            return channel;
        } catch (SSLException e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public void close() {
        channels.forEach(ManagedChannel::shutdownNow);
    }
}
