package io.skep.manager;

import io.grpc.Context;
import io.grpc.Metadata;

/** What a Skep node says about itself in the metadata of its calls, where a stock engine says nothing. */
final class SkepNodes {
    /** Version of the Skep node. Only nodes that send it may become managers. */
    static final Metadata.Key<String> VERSION = Metadata.Key.of("skep-node", Metadata.ASCII_STRING_MARSHALLER);

    /** Why the node runs no containers; sent with Session by a node that has no container engine. */
    static final Metadata.Key<String> WITHOUT_EXECUTOR =
            Metadata.Key.of("skep-without-executor", Metadata.ASCII_STRING_MARSHALLER);

    private static final Context.Key<Boolean> IS_SKEP = Context.keyWithDefault("skep-node", false);
    private static final Context.Key<String> REASON = Context.keyWithDefault("skep-without-executor", "");

    private SkepNodes() {}

    static Context read(Context context, Metadata headers) {
        String reason = headers.get(WITHOUT_EXECUTOR);
        return context.withValues(IS_SKEP, headers.containsKey(VERSION), REASON, reason == null ? "" : reason);
    }

    /** Returns whether a Skep node makes the current RPC. */
    static boolean isCaller() {
        return IS_SKEP.get();
    }

    /** Returns why the caller of the current RPC runs no containers, or the empty string when it does. */
    static String withoutExecutor() {
        return REASON.get();
    }
}
