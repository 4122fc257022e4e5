package io.skep.api;

import io.skep.engine.Volumes;
import io.skep.engine.record.CreateVolume;
import io.skep.engine.record.Volume;
import java.util.List;
import java.util.Map;

/** {@code /volumes}: those of this node's engine. */
final class VolumeEndpoints {
    private static final String ANONYMOUS = "com.docker.volume.anonymous";

    private final EngineGate gate;

    VolumeEndpoints(EngineGate gate) {
        this.gate = gate;
    }

    void addTo(Router router) {
        router.add("GET", "/volumes", this::list);
        router.add("POST", "/volumes/create", this::create);
        router.add("POST", "/volumes/prune", this::prune);
        router.add("GET", "/volumes/{name...}", this::inspect);
        router.add("PUT", "/volumes/{name...}", this::update);
        router.add("DELETE", "/volumes/{name...}", this::remove);
    }

    private Volumes volumes() {
        return gate.engine().volumes();
    }

    private Reply list(Call call) {
        Filters filters = call.filters("dangling", "driver", "label", "name");
        Volumes volumes = volumes();
        List<Volume> found = volumes.all().stream()
                .filter(volume -> filters.matchesExactly("driver", volume.getDriver())
                        && filters.matchesText("name", volume.getName())
                        && filters.matchesLabels("label", volume.getLabelsMap())
                        && (!filters.has("dangling") || filters.flag("dangling") != volumes.isUsed(volume.getName())))
                .toList();
        return Reply.json(JsonOut.object(out -> {
            out.array("Volumes", found, (each, volume) -> each.fields(RecordJson.fields(volume)));
            out.textsOrNull("Warnings", List.of());
        }));
    }

    private Reply create(Call call) {
        return Reply.json(
                201, RecordJson.object(volumes().create(RecordJson.read(call, CreateVolume.getDefaultInstance()))));
    }

    private Reply inspect(Call call) {
        return Reply.json(RecordJson.object(volumes().require(call.path("name"))));
    }

    private Reply update(Call call) {
        volumes().require(call.path("name"));
        throw new ApiException(
                400,
                "only cluster volumes can be updated, and this engine has none; remove the volume and make it anew");
    }

    private Reply remove(Call call) {
        volumes().remove(call.path("name"), call.flag("force"));
        return Reply.empty(204);
    }

    private Reply prune(Call call) {
        Filters filters = call.filters("all", "label", "label!");
        boolean all = call.version().before(1, 42) || (filters.has("all") && filters.flag("all"));
        Volumes.Pruned pruned = volumes().prune(volume -> {
            Map<String, String> labels = volume.getLabelsMap();
            return (all || labels.containsKey(ANONYMOUS))
                    && filters.matchesLabels("label", labels)
                    && !(filters.has("label!") && filters.matchesLabels("label!", labels));
        });
        return Reply.json(JsonOut.object(out -> {
            out.texts("VolumesDeleted", pruned.names());
            out.number("SpaceReclaimed", pruned.bytes());
        }));
    }
}
