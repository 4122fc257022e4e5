package io.skep.engine;

import io.skep.engine.record.ContainerRecord;
import java.util.List;
import java.util.Map;

/** The networks that need nothing made: that of the host, and none. */
final class SimpleNetworking implements Networking {
    @Override
    public void check(ContainerRecord container) {
        String mode = container.getHostConfig().getNetworkMode();
        if (!mode.equals("host") && !mode.equals("none")) {
            throw EngineException.invalid(
                    "network mode \"" + mode + "\" is not supported: this engine has the networks host and none");
        }
    }

    @Override
    public Attached attach(ContainerRecord container) {
        return new Attached("", Map.of(), List.of());
    }

    @Override
    public void detach(ContainerRecord container) {
        // Nothing was made.
    }
}
