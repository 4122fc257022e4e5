package io.skep.engine;

import com.google.protobuf.Any;
import io.skep.containerd.containers.Container;
import io.skep.containerd.runc.Options;
import java.util.Map;
import java.util.TreeMap;

/**
 * The programs that run containers, runc and crun for instance, as containerd's shim is told of them.
 *
 * @param paths of the programs, by the name users give
 * @param normal the name of the one that is used unless a user says otherwise
 */
record Runtimes(Map<String, String> paths, String normal) {
    private static final String SHIM = "io.containerd.runc.v2";

    Runtimes {
        paths = Map.copyOf(paths);
        if (!paths.containsKey(normal)) {
            throw EngineException.invalid(
                    "the default runtime \"" + normal + "\" is none of the runtimes " + new TreeMap<>(paths).keySet());
        }
    }

    /** Refuses a runtime that is not known. */
    void check(String name) {
        if (!name.isEmpty() && !paths.containsKey(name)) {
            throw EngineException.invalid("unknown or invalid runtime name: " + name);
        }
    }

    /**
     * Returns what containerd is told.
     *
     * @param name a runtime, or empty for the default
     */
    Container.Runtime of(String name) {
        String program = paths.getOrDefault(name.isEmpty() ? normal : name, "");
        Options options = Options.newBuilder().setBinaryName(program).build();
        return Container.Runtime.newBuilder()
                .setName(SHIM)
                .setOptions(Any.newBuilder()
                        .setTypeUrl("containerd.runc.v1.Options")
                        .setValue(options.toByteString()))
                .build();
    }
}
