package io.skep.api;

import io.skep.store.ClusterState;
import io.skep.store.Kind;
import io.skep.wire.CommandResult;
import io.skep.wire.ContainerSpec;
import io.skep.wire.CreateServiceRequest;
import io.skep.wire.RemoveServiceRequest;
import io.skep.wire.Service;
import io.skep.wire.ServiceSpec;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.UpdateServiceRequest;
import io.skep.wire.Version;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** {@code /services}, except their logs. */
final class ServiceEndpoints {
    private static final String REGISTRY_AUTH = "X-Registry-Auth";

    private final Gate gate;

    ServiceEndpoints(Gate gate) {
        this.gate = gate;
    }

    void addTo(Router router) {
        router.add("GET", "/services", this::list);
        router.add("GET", "/services/{id}", this::inspect);
        router.add("POST", "/services/create", this::create);
        router.add("POST", "/services/{id}/update", this::update);
        router.add("DELETE", "/services/{id}", this::remove);
    }

    private Reply list(Call call) {
        Filters filters = call.filters("id", "label", "mode", "name", "runtime");
        boolean withProgress = !call.version().before(1, 41) && call.flag("status");
        ClusterState state = gate.cluster().read();
        List<Service> services = Lookup.list(
                state,
                Kind.SERVICE,
                service -> filters.matchesPrefix("id", service.getId())
                        && filters.matchesPrefix(
                                "name", service.getSpec().getAnnotations().getName())
                        && filters.matchesLabels(
                                "label", service.getSpec().getAnnotations().getLabelsMap())
                        && filters.matchesExactly("mode", mode(service.getSpec()))
                        && filters.matchesExactly("runtime", runtime(service.getSpec())));
        return Reply.json(JsonOut.array(
                services,
                (out, service) -> ServiceJson.write(out, service, withProgress ? progress(state, service) : null)));
    }

    private static String mode(ServiceSpec spec) {
        return switch (spec.getModeCase()) {
            case REPLICATED, MODE_NOT_SET -> "replicated";
            case GLOBAL -> "global";
            case REPLICATED_JOB -> "replicated-job";
            case GLOBAL_JOB -> "global-job";
        };
    }

    private static String runtime(ServiceSpec spec) {
        return spec.getTask().hasGeneric() ? spec.getTask().getGeneric().getKind() : "container";
    }

    /** Counts the tasks of a service. Those of former iterations of a job do not count. */
    static ServiceJson.Progress progress(ClusterState state, Service service) {
        ServiceSpec spec = service.getSpec();
        boolean job = spec.hasReplicatedJob() || spec.hasGlobalJob();
        long running = 0;
        long wanted = 0;
        long completed = 0;
        for (Task task : state.tasksOfService(service.getId())) {
            if (job
                    && task.getJobIteration().getIndex()
                            != service.getJobStatus().getJobIteration().getIndex()) {
                continue;
            }
            if (task.getStatus().getState() == TaskState.RUNNING) {
                running++;
            }
            if (job && task.getStatus().getState() == TaskState.COMPLETE) {
                completed++;
            }
            if (task.getDesiredState() == TaskState.RUNNING
                    || (job
                            && task.getDesiredState() == TaskState.COMPLETE
                            && task.getStatus().getState() != TaskState.COMPLETE)) {
                wanted++;
            }
        }
        long desired = switch (spec.getModeCase()) {
            case REPLICATED -> spec.getReplicated().getReplicas();
            case REPLICATED_JOB -> spec.getReplicatedJob().getMaxConcurrent();
            case GLOBAL, GLOBAL_JOB, MODE_NOT_SET -> wanted;
        };
        return new ServiceJson.Progress(running, desired, completed);
    }

    private Reply inspect(Call call) {
        boolean defaults = call.strictFlag("insertDefaults");
        Service found = Lookup.find(gate.cluster().read(), Kind.SERVICE, call.path("id"));
        Service service = defaults ? ServiceJson.withDefaults(found) : found;
        return Reply.json(JsonOut.object(out -> ServiceJson.write(out, service, null)));
    }

    private Reply create(Call call) {
        ServiceSpec read = ServiceJson.readSpec(call.json(), call.version());
        ServiceSpec spec = withAuth(resolved(read), call.header(REGISTRY_AUTH));
        CommandResult result = gate.execute(command ->
                command.setCreateService(CreateServiceRequest.newBuilder().setSpec(spec)));
        return Reply.json(201, JsonOut.object(out -> {
            out.text("ID", result.getService().getId());
            out.nothing("Warnings");
        }));
    }

    private Reply update(Call call) {
        ServiceSpec read = ServiceJson.readSpec(call.json(), call.version());
        long version = call.versionIndex("service");
        UpdateServiceRequest.Rollback rollback = switch (call.query("rollback")) {
            case "", "none" -> UpdateServiceRequest.Rollback.NONE;
            case "previous" -> UpdateServiceRequest.Rollback.PREVIOUS;
            default -> throw new ApiException(400, "unrecognized rollback option " + call.query("rollback"));
        };
        Service current = Lookup.find(gate.cluster().read(), Kind.SERVICE, call.path("id"));
        String auth = call.header(REGISTRY_AUTH);
        ServiceSpec wanted = resolved(read);
        ServiceSpec spec = auth != null && !auth.isEmpty()
                ? withAuth(wanted, auth)
                : withAuthOf(wanted, current, call.query("registryAuthFrom"));
        gate.execute(command -> command.setUpdateService(UpdateServiceRequest.newBuilder()
                .setServiceId(current.getId())
                .setServiceVersion(Version.newBuilder().setIndex(version))
                .setSpec(spec)
                .setRollback(rollback)));
        return Reply.json(JsonOut.object(out -> out.nothing("Warnings")));
    }

    private Reply remove(Call call) {
        Service service = Lookup.find(gate.cluster().read(), Kind.SERVICE, call.path("id"));
        gate.execute(command ->
                command.setRemoveService(RemoveServiceRequest.newBuilder().setServiceId(service.getId())));
        return Reply.empty(200);
    }

    /** Replaces the names of networks by ids. */
    private ServiceSpec resolved(ServiceSpec spec) {
        if (spec.getNetworksCount() == 0 && spec.getTask().getNetworksCount() == 0) {
            return spec;
        }
        ClusterState state = gate.cluster().read();
        ServiceSpec.Builder builder = spec.toBuilder();
        builder.getNetworksBuilderList()
                .forEach(network -> network.setTarget(
                        Lookup.find(state, Kind.NETWORK, network.getTarget()).getId()));
        builder.getTaskBuilder()
                .getNetworksBuilderList()
                .forEach(network -> network.setTarget(
                        Lookup.find(state, Kind.NETWORK, network.getTarget()).getId()));
        return builder.build();
    }

    private static ServiceSpec withAuth(ServiceSpec spec, @Nullable String auth) {
        if (auth == null || auth.isEmpty()) {
            return spec;
        }
        ServiceSpec.Builder builder = spec.toBuilder();
        builder.getTaskBuilder()
                .getContainerBuilder()
                .setPullOptions(ContainerSpec.PullOptions.newBuilder().setRegistryAuth(auth));
        return builder.build();
    }

    /** An update without credentials keeps those that the service has. */
    private static ServiceSpec withAuthOf(ServiceSpec spec, Service current, String source) {
        ServiceSpec former = switch (source) {
            case "", "spec" -> current.getSpec();
            case "previous-spec" -> {
                if (!current.hasPreviousSpec()) {
                    throw new ApiException(400, "service does not have a previous spec");
                }
                yield current.getPreviousSpec();
            }
            default -> throw new ApiException(400, "unsupported registryAuthFrom value");
        };
        if (!former.getTask().getContainer().hasPullOptions()) {
            return spec;
        }
        ServiceSpec.Builder builder = spec.toBuilder();
        builder.getTaskBuilder()
                .getContainerBuilder()
                .setPullOptions(former.getTask().getContainer().getPullOptions());
        return builder.build();
    }
}
