package io.skep.manager;

import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.skep.store.ClusterState;
import io.skep.wire.CAGrpc;
import io.skep.wire.Cluster;
import io.skep.wire.DispatcherGrpc;
import io.skep.wire.LogBrokerGrpc;
import io.skep.wire.NodeCAGrpc;
import io.skep.wire.ResourceAllocatorGrpc;
import java.util.Set;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Decides which callers may call which method (swarm-wire 1.5).
 *
 * <p>TLS has verified the certificate, if the caller showed one. What remains is whether its role may call the method,
 * whether the node was removed, and whether the certificate is one of this cluster: an old root may have signed for
 * two. A method that is not listed here is for managers only.
 */
final class Authorization implements ServerInterceptor {
    private static final Set<String> OPEN = Set.of(
            CAGrpc.getGetRootCACertificateMethod().getFullMethodName(),
            NodeCAGrpc.getIssueNodeCertificateMethod().getFullMethodName(),
            NodeCAGrpc.getNodeCertificateStatusMethod().getFullMethodName());
    private static final Set<String> SERVICES_FOR_NODES =
            Set.of(DispatcherGrpc.SERVICE_NAME, LogBrokerGrpc.SERVICE_NAME, ResourceAllocatorGrpc.SERVICE_NAME);
    /** Of the most frequent method, which asks the call itself who calls. */
    private static final String WITHOUT_CONTEXT =
            DispatcherGrpc.getHeartbeatMethod().getFullMethodName();

    private final String clusterId;
    private final Supplier<ClusterState> state;

    Authorization(String clusterId, Supplier<ClusterState> state) {
        this.clusterId = clusterId;
        this.state = state;
    }

    @Override
    public <Q, A> ServerCall.Listener<Q> interceptCall(
            ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
        Caller caller = call.getAttributes().get(Caller.ATTRIBUTE);
        String method = call.getMethodDescriptor().getFullMethodName();
        String refusal = refusal(caller, call);
        if (OPEN.contains(method)) {
            caller = refusal == null ? caller : null;
        } else if (refusal != null) {
            call.close(Status.PERMISSION_DENIED.withDescription("Permission denied: " + refusal), new Metadata());
            return new ServerCall.Listener<>() {};
        }
        if (WITHOUT_CONTEXT.equals(method)) {
            return next.startCall(call, headers);
        }
        Context context = Context.current();
        if (caller != null) {
            context = context.withValue(Caller.KEY, caller);
        }
        return Contexts.interceptCall(SkepNodes.read(context, headers), call, headers, next);
    }

    private @Nullable String refusal(@Nullable Caller caller, ServerCall<?, ?> call) {
        if (caller == null) {
            return "no client certificates in request";
        }
        String service = call.getMethodDescriptor().getServiceName();
        if (!caller.identity().isManager()
                && !(service != null && SERVICES_FOR_NODES.contains(service))
                && !OPEN.contains(call.getMethodDescriptor().getFullMethodName())) {
            return "unauthorized peer role: " + caller.identity().roleName();
        }
        Cluster cluster = state.get().cluster();
        if (cluster != null && cluster.containsBlacklistedCertificates(caller.nodeId())) {
            return "node " + caller.nodeId() + " was removed from swarm";
        }
        if (!caller.identity().clusterId().equals(clusterId)) {
            return "remote certificate not part of organization: " + clusterId;
        }
        return null;
    }
}
