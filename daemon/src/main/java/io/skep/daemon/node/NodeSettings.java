package io.skep.daemon.node;

import io.skep.agent.Executor;
import io.skep.wire.GenericResource;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * What the daemon tells its node.
 *
 * @param dataRoot folder of the daemon; the node keeps everything under {@code swarm} in it
 * @param version of Skep
 * @param labels of the engine, asked for again at each look because they can be reloaded
 * @param genericResources that services can reserve
 * @param executor runs the tasks of this node; null on one that runs none
 * @param withoutExecutor why this node runs no tasks, in ASCII; without effect on one that does
 * @param defaultAdvertiseAddress address or interface to advertise when nobody names one, or empty
 * @param advertiseAddress address to advertise from the next start on, whatever was said before; or empty
 * @param managerHints host:port where managers of the cluster may be found besides the known ones
 */
public record NodeSettings(
        Path dataRoot,
        String version,
        Supplier<Map<String, String>> labels,
        List<GenericResource> genericResources,
        @Nullable Executor executor,
        String withoutExecutor,
        String defaultAdvertiseAddress,
        String advertiseAddress,
        List<String> managerHints,
        InstantSource clock) {
    public NodeSettings {
        genericResources = List.copyOf(genericResources);
        managerHints = List.copyOf(managerHints);
    }
}
