package io.skep.api;

import com.google.protobuf.Duration;
import io.skep.wire.ContainerSpec;
import io.skep.wire.Endpoint;
import io.skep.wire.EndpointSpec;
import io.skep.wire.GlobalJob;
import io.skep.wire.GlobalService;
import io.skep.wire.JobStatus;
import io.skep.wire.ReplicatedJob;
import io.skep.wire.ReplicatedService;
import io.skep.wire.ResourceRequirements;
import io.skep.wire.RestartPolicy;
import io.skep.wire.Service;
import io.skep.wire.ServiceSpec;
import io.skep.wire.TaskSpec;
import io.skep.wire.UpdateConfig;
import io.skep.wire.UpdateStatus;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Services to JSON, and the wishes for a service from JSON. */
final class ServiceJson {
    private static final Duration DELAY_DEFAULT =
            Duration.newBuilder().setSeconds(5).build();
    private static final Duration MONITOR_DEFAULT = DELAY_DEFAULT;
    private static final Duration STOP_GRACE_DEFAULT =
            Duration.newBuilder().setSeconds(10).build();

    private ServiceJson() {}

    /**
     * How far a service is.
     *
     * @param running tasks that run
     * @param desired tasks that should run
     * @param completed tasks of a job that are done
     */
    record Progress(long running, long desired, long completed) {}

    /**
     * Writes a service.
     *
     * @param progress added when asked for
     */
    static void write(JsonOut out, Service service, @Nullable Progress progress) {
        out.text("ID", service.getId());
        CommonJson.meta(out, service.getMeta());
        out.object("Spec", spec -> spec(spec, service.getSpec()));
        if (service.hasPreviousSpec()) {
            out.object("PreviousSpec", spec -> spec(spec, service.getPreviousSpec()));
        }
        out.object("Endpoint", endpoint -> endpoint(endpoint, service.getEndpoint()));
        if (service.hasUpdateStatus()) {
            out.object("UpdateStatus", status -> updateStatus(status, service.getUpdateStatus()));
        }
        if (progress != null) {
            out.object("ServiceStatus", status -> {
                status.unsigned("RunningTasks", progress.running());
                status.unsigned("DesiredTasks", progress.desired());
                status.unsigned("CompletedTasks", progress.completed());
            });
        }
        if (service.hasJobStatus()) {
            JobStatus job = service.getJobStatus();
            out.object("JobStatus", status -> {
                status.object(
                        "JobIteration",
                        version -> version.unsignedOrOmit(
                                "Index", job.getJobIteration().getIndex()));
                status.time("LastExecution", job.getLastExecution());
            });
        }
    }

    private static void spec(JsonOut out, ServiceSpec spec) {
        CommonJson.annotations(out, spec.getAnnotations());
        out.object("TaskTemplate", template -> {
            TaskSpecJson.write(template, spec.getTask());
            if (spec.getTask().hasContainer()) {
                template.text("Runtime", "container");
            } else if (spec.getTask().hasAttachment()) {
                template.text("Runtime", "attachment");
            }
        });
        out.object("Mode", mode -> mode(mode, spec));
        if (spec.hasUpdate()) {
            out.object("UpdateConfig", update -> updateConfig(update, spec.getUpdate()));
        }
        if (spec.hasRollback()) {
            out.object("RollbackConfig", rollback -> updateConfig(rollback, spec.getRollback()));
        }
        TaskSpecJson.networks(out, spec.getNetworksList());
        if (spec.hasEndpoint()) {
            out.object("EndpointSpec", endpoint -> endpointSpec(endpoint, spec.getEndpoint()));
        }
    }

    /**
     * Reads the wishes for a service. A missing mode is one replica, a missing name a made one.
     *
     * @throws ApiException 400 when a value is unknown or parts contradict each other
     */
    static ServiceSpec readSpec(JsonIn in, ApiVersion version) {
        ServiceSpec.Builder spec = ServiceSpec.newBuilder()
                .setAnnotations(CommonJson.annotations(in))
                .setTask(TaskSpecJson.read(in.object("TaskTemplate"), version))
                .addAllNetworks(TaskSpecJson.readNetworks(in));
        if (spec.getAnnotations().getName().isEmpty()) {
            spec.setAnnotations(spec.getAnnotations().toBuilder().setName(RandomNames.next()));
        }
        readMode(in.object("Mode"), spec, version);
        in.ifObject("UpdateConfig", update -> spec.setUpdate(readUpdateConfig(update)));
        in.ifObject("RollbackConfig", rollback -> spec.setRollback(readUpdateConfig(rollback)));
        in.ifObject("EndpointSpec", endpoint -> spec.setEndpoint(readEndpointSpec(endpoint)));
        return spec.build();
    }

    private static void mode(JsonOut out, ServiceSpec spec) {
        switch (spec.getModeCase()) {
            case REPLICATED ->
                out.object(
                        "Replicated",
                        mode -> mode.unsigned("Replicas", spec.getReplicated().getReplicas()));
            case GLOBAL -> out.object("Global", mode -> {});
            case REPLICATED_JOB ->
                out.object("ReplicatedJob", mode -> {
                    mode.unsigned("MaxConcurrent", spec.getReplicatedJob().getMaxConcurrent());
                    mode.unsigned("TotalCompletions", spec.getReplicatedJob().getTotalCompletions());
                });
            case GLOBAL_JOB -> out.object("GlobalJob", mode -> {});
            case MODE_NOT_SET -> {}
        }
    }

    private static void readMode(JsonIn in, ServiceSpec.Builder spec, ApiVersion version) {
        List<String> modes = new ArrayList<>();
        for (String mode : List.of("Replicated", "Global", "ReplicatedJob", "GlobalJob")) {
            boolean job = mode.endsWith("Job");
            if (in.has(mode) && !(job && version.before(1, 41))) {
                modes.add(mode);
            }
        }
        if (modes.size() > 1) {
            throw new ApiException(400, "must specify only one service mode");
        }
        switch (modes.isEmpty() ? "Replicated" : modes.getFirst()) {
            case "Global" -> spec.setGlobal(GlobalService.getDefaultInstance());
            case "GlobalJob" -> spec.setGlobalJob(GlobalJob.getDefaultInstance());
            case "ReplicatedJob" -> {
                JsonIn job = in.object("ReplicatedJob");
                long concurrent = job.has("MaxConcurrent") ? job.unsigned("MaxConcurrent") : 1;
                spec.setReplicatedJob(ReplicatedJob.newBuilder()
                        .setMaxConcurrent(concurrent)
                        .setTotalCompletions(
                                job.has("TotalCompletions") ? job.unsigned("TotalCompletions") : concurrent));
            }
            default -> {
                JsonIn replicated = in.object("Replicated");
                spec.setReplicated(ReplicatedService.newBuilder()
                        .setReplicas(replicated.has("Replicas") ? replicated.unsigned("Replicas") : 1));
            }
        }
    }

    private static void updateConfig(JsonOut out, UpdateConfig config) {
        out.unsigned("Parallelism", config.getParallelism());
        out.durationOrOmit("Delay", config.getDelay());
        out.text("FailureAction", Enums.lower(config.getFailureAction()));
        out.durationOrOmit("Monitor", config.getMonitor());
        out.ratio("MaxFailureRatio", config.getMaxFailureRatio());
        out.text("Order", Enums.dashed(config.getOrder()));
    }

    private static UpdateConfig readUpdateConfig(JsonIn in) {
        UpdateConfig.Builder config = UpdateConfig.newBuilder()
                .setParallelism(in.unsigned("Parallelism"))
                .setDelay(in.duration("Delay"))
                .setFailureAction(Enums.parse(
                        in.text("FailureAction"),
                        UpdateConfig.FailureAction.PAUSE,
                        "unrecognized update failure action %s"))
                .setMaxFailureRatio(in.ratio("MaxFailureRatio"))
                .setOrder(Enums.parse(
                        in.text("Order"), UpdateConfig.UpdateOrder.STOP_FIRST, "unrecognized update order %s"));
        if (in.number("Monitor") != 0) {
            config.setMonitor(in.duration("Monitor"));
        }
        return config.build();
    }

    private static void updateStatus(JsonOut out, UpdateStatus status) {
        if (status.getState() != UpdateStatus.UpdateState.UNKNOWN) {
            out.text("State", Enums.lower(status.getState()));
        }
        if (status.hasStartedAt()) {
            out.time("StartedAt", status.getStartedAt());
        }
        if (status.hasCompletedAt()) {
            out.time("CompletedAt", status.getCompletedAt());
        }
        out.textOrOmit("Message", status.getMessage());
    }

    private static void endpointSpec(JsonOut out, EndpointSpec spec) {
        out.text("Mode", Enums.lower(spec.getMode()));
        out.arrayOrOmit("Ports", spec.getPortsList(), CommonJson::port);
    }

    private static EndpointSpec readEndpointSpec(JsonIn in) {
        EndpointSpec.Builder spec = EndpointSpec.newBuilder()
                .setMode(Enums.parse(
                        in.text("Mode"), EndpointSpec.ResolutionMode.VIP, "invalid resolution mode: \"%s\""));
        for (JsonIn port : in.objects("Ports")) {
            spec.addPorts(CommonJson.port(port));
        }
        return spec.build();
    }

    private static void endpoint(JsonOut out, Endpoint endpoint) {
        out.object("Spec", spec -> {
            if (endpoint.hasSpec()) {
                endpointSpec(spec, endpoint.getSpec());
            }
        });
        out.arrayOrOmit("Ports", endpoint.getPortsList(), CommonJson::port);
        out.arrayOrOmit("VirtualIPs", endpoint.getVirtualIpsList(), (item, address) -> {
            item.textOrOmit("NetworkID", address.getNetworkId());
            item.textOrOmit("Addr", address.getAddr());
        });
    }

    /** Returns the service with all that the cluster assumes where its spec says nothing (swarm-wire 8.4). */
    static Service withDefaults(Service service) {
        ServiceSpec.Builder spec = service.getSpec().toBuilder();
        spec.setTask(withDefaults(spec.getTask()));
        spec.setUpdate(withDefaults(spec.hasUpdate() ? spec.getUpdate() : null));
        spec.setRollback(withDefaults(spec.hasRollback() ? spec.getRollback() : null));
        return service.toBuilder().setSpec(spec).build();
    }

    private static TaskSpec withDefaults(TaskSpec given) {
        TaskSpec.Builder spec = given.toBuilder();
        if (spec.hasContainer()) {
            ContainerSpec.Builder container = spec.getContainer().toBuilder();
            if (!container.hasStopGracePeriod()) {
                container.setStopGracePeriod(STOP_GRACE_DEFAULT);
            }
            if (!container.hasDnsConfig()) {
                container.setDnsConfig(ContainerSpec.DNSConfig.getDefaultInstance());
            }
            spec.setContainer(container);
        }
        if (!spec.hasResources()) {
            spec.setResources(ResourceRequirements.getDefaultInstance());
        }
        if (!spec.hasRestart()) {
            spec.setRestart(RestartPolicy.newBuilder()
                    .setCondition(RestartPolicy.RestartCondition.ANY)
                    .setDelay(DELAY_DEFAULT));
        } else if (!spec.getRestart().hasDelay()) {
            spec.setRestart(spec.getRestart().toBuilder().setDelay(DELAY_DEFAULT));
        }
        if (!spec.hasPlacement()) {
            spec.setPlacement(io.skep.wire.Placement.getDefaultInstance());
        }
        return spec.build();
    }

    private static UpdateConfig withDefaults(@Nullable UpdateConfig given) {
        if (given == null) {
            return UpdateConfig.newBuilder()
                    .setParallelism(1)
                    .setMonitor(MONITOR_DEFAULT)
                    .build();
        }
        return given.hasMonitor()
                ? given
                : given.toBuilder().setMonitor(MONITOR_DEFAULT).build();
    }
}
