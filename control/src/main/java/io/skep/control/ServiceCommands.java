package io.skep.control;

import io.skep.control.CommandException.Code;
import io.skep.store.ClusterState;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.CommandResult;
import io.skep.wire.ConfigReference;
import io.skep.wire.CreateServiceRequest;
import io.skep.wire.EndpointSpec;
import io.skep.wire.JobStatus;
import io.skep.wire.Network;
import io.skep.wire.NetworkAttachmentConfig;
import io.skep.wire.PortConfig;
import io.skep.wire.RemoveServiceRequest;
import io.skep.wire.ReplicatedJob;
import io.skep.wire.ReplicatedService;
import io.skep.wire.SecretReference;
import io.skep.wire.Service;
import io.skep.wire.ServiceSpec;
import io.skep.wire.UpdateServiceRequest;
import io.skep.wire.UpdateStatus;
import io.skep.wire.Version;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;

/** The commands that make, change and remove services (swarm-wire 6.2, 8.4, 8.5). */
final class ServiceCommands {
    private final IdSource ids;

    ServiceCommands(IdSource ids) {
        this.ids = ids;
    }

    CommandResult create(Transaction transaction, Instant now, CreateServiceRequest request) {
        if (!request.hasSpec()) {
            throw Lookups.invalidArgument();
        }
        ClusterState state = transaction.state();
        ServiceSpec spec = checked(state, "", request.getSpec());
        checkReferences(state, spec);
        String name = spec.getAnnotations().getName();
        if (state.services().byName(name) != null) {
            throw new CommandException(
                    Code.ALREADY_EXISTS, "name conflicts with an existing object: service " + name + " already exists");
        }
        Service.Builder service =
                Service.newBuilder().setId(ids.nextId()).setSpec(spec).setSpecVersion(Version.getDefaultInstance());
        if (isJob(spec)) {
            service.setJobStatus(JobStatus.newBuilder()
                    .setJobIteration(Version.getDefaultInstance())
                    .setLastExecution(Times.timestamp(now)));
        }
        return Answers.of(transaction.put(Kind.SERVICE, service.build()));
    }

    CommandResult update(Transaction transaction, Instant now, UpdateServiceRequest request) {
        ClusterState state = transaction.state();
        if (!request.hasServiceVersion()) {
            throw Lookups.invalidArgument();
        }
        Service service = Lookups.require(state, Kind.SERVICE, request.getServiceId());
        Service updated;
        if (request.getRollback() == UpdateServiceRequest.Rollback.PREVIOUS) {
            updated = rolledBack(service, now);
            checkPorts(state, service.getId(), updated.getSpec().getEndpoint());
            checkReferences(state, updated.getSpec());
            String missing = Lookups.missing(state, updated.getSpec());
            if (missing != null) {
                throw new CommandException(
                        Code.FAILED_PRECONDITION,
                        "service " + service.getId() + " cannot be rolled back: " + missing
                                + " of its previous spec does not exist any more; update the service instead");
            }
        } else {
            updated = updated(state, service, now, request);
        }
        Lookups.requireVersion(Kind.SERVICE, service, true, request.getServiceVersion());
        return Answers.of(transaction.put(Kind.SERVICE, updated));
    }

    private static Service updated(ClusterState state, Service service, Instant now, UpdateServiceRequest request) {
        if (!request.hasSpec()) {
            throw Lookups.invalidArgument();
        }
        ServiceSpec spec = checked(state, service.getId(), request.getSpec());
        if (!spec.getAnnotations()
                .getName()
                .equals(service.getSpec().getAnnotations().getName())) {
            throw new CommandException(Code.UNIMPLEMENTED, "renaming services is not supported");
        }
        if (spec.getModeCase() != service.getSpec().getModeCase()) {
            throw new CommandException(Code.UNIMPLEMENTED, "service mode change is not allowed");
        }
        checkReferences(state, spec);
        Service.Builder updated = service.toBuilder()
                .setPreviousSpec(service.getSpec())
                .setPreviousSpecVersion(service.getSpecVersion())
                .setSpec(spec)
                .setSpecVersion(request.getServiceVersion())
                .clearUpdateStatus();
        if (isJob(spec)) {
            updated.setJobStatus(nextIteration(service, now));
        }
        return updated.build();
    }

    private static JobStatus nextIteration(Service job, Instant now) {
        long iteration = job.getJobStatus().getJobIteration().getIndex() + 1;
        return JobStatus.newBuilder()
                .setJobIteration(Version.newBuilder().setIndex(iteration))
                .setLastExecution(Times.timestamp(now))
                .build();
    }

    private static Service rolledBack(Service service, Instant now) {
        if (!service.hasPreviousSpec()) {
            throw new CommandException(
                    Code.FAILED_PRECONDITION, "service " + service.getId() + " does not have a previous spec");
        }
        Service.Builder swapped = service.toBuilder()
                .setSpec(service.getPreviousSpec())
                .setSpecVersion(service.getPreviousSpecVersion())
                .setPreviousSpec(service.getSpec())
                .setPreviousSpecVersion(service.getSpecVersion());
        // A job is not updated task by task: it runs once more, as it was before.
        if (isJob(service.getPreviousSpec())) {
            return swapped.setJobStatus(nextIteration(service, now))
                    .clearUpdateStatus()
                    .build();
        }
        return swapped.setUpdateStatus(UpdateStatus.newBuilder()
                        .setState(UpdateStatus.UpdateState.ROLLBACK_STARTED)
                        .setStartedAt(Times.timestamp(now))
                        .setMessage("manually requested rollback"))
                .build();
    }

    /** Removes the service; its tasks follow when the orchestrators see that it is gone. */
    CommandResult remove(Transaction transaction, RemoveServiceRequest request) {
        Service service = Lookups.require(transaction.state(), Kind.SERVICE, request.getServiceId());
        transaction.remove(Kind.SERVICE, service.getId());
        return Answers.ofId(service.getId());
    }

    private static ServiceSpec checked(ClusterState state, String serviceId, ServiceSpec given) {
        ServiceSpec spec = withDefaults(given);
        ServiceValidation.check(spec);
        ServiceSpec resolved = withNetworkIds(state, spec);
        checkPorts(state, serviceId, resolved.getEndpoint());
        if (Lookups.hasMeshPorts(resolved.getEndpoint()) && Lookups.ingress(state) == null) {
            throw new CommandException(
                    Code.FAILED_PRECONDITION, "service needs ingress network, but no ingress network is present");
        }
        return resolved;
    }

    private static boolean isJob(ServiceSpec spec) {
        return spec.hasReplicatedJob() || spec.hasGlobalJob();
    }

    private static ServiceSpec withDefaults(ServiceSpec given) {
        return switch (given.getModeCase()) {
            case MODE_NOT_SET ->
                given.toBuilder()
                        .setReplicated(ReplicatedService.newBuilder().setReplicas(1))
                        .build();
            case REPLICATED_JOB -> {
                ReplicatedJob.Builder job = given.getReplicatedJob().toBuilder();
                if (job.getMaxConcurrent() == 0) {
                    job.setMaxConcurrent(1);
                }
                if (job.getTotalCompletions() == 0) {
                    job.setTotalCompletions(job.getMaxConcurrent());
                }
                yield given.toBuilder().setReplicatedJob(job).build();
            }
            case REPLICATED, GLOBAL, GLOBAL_JOB -> given;
        };
    }

    private static ServiceSpec withNetworkIds(ClusterState state, ServiceSpec spec) {
        ServiceSpec.Builder resolved = spec.toBuilder();
        resolved.clearNetworks().addAllNetworks(withIds(state, spec.getNetworksList()));
        if (spec.getTask().getNetworksCount() > 0) {
            resolved.getTaskBuilder()
                    .clearNetworks()
                    .addAllNetworks(withIds(state, spec.getTask().getNetworksList()));
        }
        return resolved.build();
    }

    private static List<NetworkAttachmentConfig> withIds(ClusterState state, List<NetworkAttachmentConfig> configs) {
        List<NetworkAttachmentConfig> resolved = new ArrayList<>();
        for (NetworkAttachmentConfig config : configs) {
            Network network = Lookups.network(state, config.getTarget());
            if (network == null) {
                throw new CommandException(Code.NOT_FOUND, "network " + config.getTarget() + " not found");
            }
            if (network.getSpec().getIngress()) {
                throw new CommandException(
                        Code.INVALID_ARGUMENT,
                        "Service cannot be explicitly attached to the ingress network \""
                                + network.getSpec().getAnnotations().getName() + "\"");
            }
            resolved.add(config.toBuilder().setTarget(network.getId()).build());
        }
        return resolved;
    }

    private static void checkPorts(ClusterState state, String serviceId, EndpointSpec wanted) {
        List<PortConfig> fixed = wanted.getPortsList().stream()
                .filter(port -> port.getPublishedPort() != 0)
                .toList();
        if (fixed.isEmpty()) {
            return;
        }
        for (Service other : state.services().values()) {
            if (other.getId().equals(serviceId)) {
                continue;
            }
            List<PortConfig> taken = other.hasEndpoint()
                    ? other.getEndpoint().getPortsList()
                    : other.getSpec().getEndpoint().getPortsList();
            for (PortConfig theirs : taken) {
                for (PortConfig ours : fixed) {
                    requireNoClash(ours, theirs, other);
                }
            }
        }
    }

    private static void requireNoClash(PortConfig ours, PortConfig theirs, Service other) {
        boolean same =
                ours.getPublishedPort() == theirs.getPublishedPort() && ours.getProtocol() == theirs.getProtocol();
        boolean oursHost = ours.getPublishMode() == PortConfig.PublishMode.HOST;
        boolean theirsHost = theirs.getPublishMode() == PortConfig.PublishMode.HOST;
        if (same && !(oursHost && theirsHost)) {
            throw new CommandException(
                    Code.INVALID_ARGUMENT,
                    "port '" + ours.getPublishedPort() + "' is already in use by service '"
                            + other.getSpec().getAnnotations().getName() + "' (" + other.getId() + ") as "
                            + (theirsHost ? "a host-published port" : "an ingress port"));
        }
    }

    private static void checkReferences(ClusterState state, ServiceSpec spec) {
        List<String> missingSecrets = new ArrayList<>();
        for (SecretReference reference : spec.getTask().getContainer().getSecretsList()) {
            if (state.secrets().get(reference.getSecretId()) == null) {
                missingSecrets.add(reference.getSecretName());
            }
        }
        requireNoneMissing("secret", missingSecrets);
        List<String> missingConfigs = new ArrayList<>();
        for (ConfigReference reference : spec.getTask().getContainer().getConfigsList()) {
            if (state.configs().get(reference.getConfigId()) == null) {
                missingConfigs.add(reference.getConfigName());
            }
        }
        requireNoneMissing("config", missingConfigs);
    }

    private static void requireNoneMissing(String kind, List<String> missing) {
        if (!missing.isEmpty()) {
            throw new CommandException(
                    Code.INVALID_ARGUMENT,
                    kind + (missing.size() == 1 ? "" : "s") + " not found: " + String.join(", ", missing));
        }
    }
}
