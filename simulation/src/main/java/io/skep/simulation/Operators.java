package io.skep.simulation;

import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import io.skep.control.CommandException;
import io.skep.store.ClusterState;
import io.skep.store.Kind;
import io.skep.wire.Annotations;
import io.skep.wire.Cluster;
import io.skep.wire.Command;
import io.skep.wire.Config;
import io.skep.wire.ConfigReference;
import io.skep.wire.ConfigSpec;
import io.skep.wire.ContainerSpec;
import io.skep.wire.CreateConfigRequest;
import io.skep.wire.CreateNetworkRequest;
import io.skep.wire.CreateSecretRequest;
import io.skep.wire.CreateServiceRequest;
import io.skep.wire.EndpointSpec;
import io.skep.wire.FileTarget;
import io.skep.wire.GlobalJob;
import io.skep.wire.GlobalService;
import io.skep.wire.IPAMConfig;
import io.skep.wire.Network;
import io.skep.wire.NetworkAttachmentConfig;
import io.skep.wire.NetworkSpec;
import io.skep.wire.Node;
import io.skep.wire.NodeRole;
import io.skep.wire.NodeSpec;
import io.skep.wire.NodeSpec.Availability;
import io.skep.wire.NodeStatus;
import io.skep.wire.Platform;
import io.skep.wire.PortConfig;
import io.skep.wire.RemoveConfigRequest;
import io.skep.wire.RemoveNetworkRequest;
import io.skep.wire.RemoveNodeRequest;
import io.skep.wire.RemoveSecretRequest;
import io.skep.wire.RemoveServiceRequest;
import io.skep.wire.ReplicatedJob;
import io.skep.wire.ReplicatedService;
import io.skep.wire.RestartPolicy;
import io.skep.wire.Secret;
import io.skep.wire.SecretReference;
import io.skep.wire.SecretSpec;
import io.skep.wire.Service;
import io.skep.wire.ServiceSpec;
import io.skep.wire.TaskSpec;
import io.skep.wire.UpdateClusterRequest;
import io.skep.wire.UpdateConfig;
import io.skep.wire.UpdateConfig.FailureAction;
import io.skep.wire.UpdateConfig.UpdateOrder;
import io.skep.wire.UpdateNodeRequest;
import io.skep.wire.UpdateServiceRequest;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletionException;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Users of a simulated cluster: they ask random managers for random things, from what that manager shows them, send
 * commands again through others, and hold each answer against what truly happened.
 */
final class Operators {
    private static final int SERVICES_MAX = 8;
    private static final int NETWORKS_MAX = 6;
    private static final int DATA_MAX = 4;
    private static final int REPLICAS_MAX = 8;
    private static final int NODES_MIN = 2;

    private final World world;
    private final Set<String> asked = new HashSet<>();
    private final Set<String> askedAtOnce = new HashSet<>();
    private int names;
    private int acknowledged;
    private int refused;
    private int unanswered;
    private int reads;

    Operators(World world) {
        this.world = world;
    }

    int acknowledged() {
        return acknowledged;
    }

    int refused() {
        return refused;
    }

    int unanswered() {
        return unanswered;
    }

    int reads() {
        return reads;
    }

    /** Returns whether a node is one that the constraint asks for; understands those that are used here. */
    static boolean matches(String constraint, Node node) {
        boolean equal = constraint.contains("==");
        String[] parts = constraint.split("[=!]=", 2);
        String actual = switch (parts[0]) {
            case "node.labels.zone" -> node.getSpec().getAnnotations().getLabelsOrDefault("zone", "");
            case "node.role" -> node.getRole() == NodeRole.MANAGER ? "manager" : "worker";
            case "node.hostname" -> node.getDescription().getHostname();
            default -> throw new IllegalArgumentException("an unknown constraint: " + constraint);
        };
        return actual.equalsIgnoreCase(parts[1]) == equal;
    }

    void perform(Deed deed) {
        Random random = new Random(deed.seed());
        Board.@Nullable ManagerPart manager = pick(world.managersThatRun(), random);
        if (manager == null) {
            return;
        }
        if (deed.kind() == Deed.Kind.READ) {
            read(manager);
            return;
        }
        Command.@Nullable Builder command = command(deed.kind(), manager.store.state(), random);
        if (command == null) {
            return;
        }
        Command sent = command.setRequestId("r" + deed.atNanos() + "-" + (deed.seed() & 0xFFFF))
                .build();
        execute(manager, sent, deed.kind().name());
        if (random.nextInt(4) == 0) {
            // Whoever got no answer asks again, and somebody else.
            world.time().afterNanos(random.nextInt(4) * 700_000_000L, () -> {
                Board.@Nullable ManagerPart other = pick(world.managersThatRun(), random);
                if (other != null) {
                    execute(other, sent, deed.kind().name() + " again");
                }
            });
        }
    }

    /** Asks a manager to run a command, and checks what it answers. */
    void execute(Board.ManagerPart manager, Command command, String what) {
        execute(manager, command, what, () -> {});
    }

    void execute(Board.ManagerPart manager, Command command, String what, Runnable then) {
        world.trace().say("asks", manager.name(), () -> what + " " + command.getRequestId());
        boolean first = asked.add(command.getRequestId());
        boolean doneBefore = world.invariants().isCarriedOut(command.getRequestId());
        if (!first && !doneBefore) {
            askedAtOnce.add(command.getRequestId());
        }
        manager.process.run(() -> {
            var _ = manager.plane.execute(command).whenComplete((executed, failure) -> {
                try {
                    if (executed != null) {
                        acknowledged++;
                        world.trace()
                                .say(
                                        "done",
                                        manager.name(),
                                        () -> command.getRequestId() + " in version " + executed.version());
                        world.invariants()
                                .acknowledged(
                                        manager.name(),
                                        command.getRequestId(),
                                        isRemembered(command),
                                        executed.version(),
                                        manager.store.state().version());
                        then.run();
                    } else {
                        failed(
                                manager,
                                command.getRequestId(),
                                failure,
                                doneBefore || !askedAtOnce.contains(command.getRequestId()));
                    }
                } catch (RuntimeException e) {
                    world.verdict().unexpected(e);
                }
            });
        });
    }

    private static boolean isRemembered(Command command) {
        return switch (command.getKindCase()) {
            case REGISTER_NODE, REPORT_SESSIONS, REPORT_TASK_STATUS, COMPLETE_CERTIFICATE, CHANGE_MANAGER -> false;
            default -> true;
        };
    }

    /**
     * Takes note of a failure.
     *
     * @param counts false when somebody else asked the same meanwhile: this one may have been refused before the other
     *     was not
     */
    private void failed(Board.ManagerPart manager, String requestId, @Nullable Throwable failure, boolean counts) {
        Throwable cause =
                failure instanceof CompletionException && failure.getCause() != null ? failure.getCause() : failure;
        if (!(cause instanceof CommandException refusal)) {
            throw world.verdict()
                    .broken("no unexpected failure", manager.name() + " failed request " + requestId + ": " + cause);
        }
        world.trace()
                .say(
                        refusal.code() == CommandException.Code.UNAVAILABLE ? "unknown" : "refused",
                        manager.name(),
                        () -> requestId + ": " + refusal.code() + " " + refusal.text());
        if (refusal.code() == CommandException.Code.UNAVAILABLE) {
            unanswered++;
        } else {
            refused++;
            if (counts) {
                world.invariants().refused(manager.name(), requestId);
            }
        }
    }

    private void read(Board.ManagerPart manager) {
        long mustSee = world.invariants().versionSeen();
        manager.process.run(() -> {
            var _ = manager.plane.read().whenComplete((state, failure) -> {
                try {
                    if (state != null) {
                        reads++;
                        world.trace().say("reads", manager.name(), () -> "version " + state.version());
                        world.invariants().read(manager.name(), mustSee, state.version());
                    } else {
                        failed(manager, "a read", failure, false);
                    }
                } catch (RuntimeException e) {
                    world.verdict().unexpected(e);
                }
            });
        });
    }

    private Command.@Nullable Builder command(Deed.Kind kind, ClusterState state, Random random) {
        Service service = pick(sorted(state, Kind.SERVICE), random);
        Node node = pick(sorted(state, Kind.NODE), random);
        Command.Builder command = Command.newBuilder();
        return switch (kind) {
            case CREATE_SERVICE ->
                state.services().size() >= SERVICES_MAX
                        ? null
                        : command.setCreateService(
                                CreateServiceRequest.newBuilder().setSpec(newService(state, random)));
            case UPDATE_SERVICE -> service == null ? null : update(service, spec -> change(spec, state, random));
            case SCALE_SERVICE ->
                service == null || !service.getSpec().hasReplicated()
                        ? null
                        : update(
                                service, spec -> spec.getReplicatedBuilder().setReplicas(random.nextInt(REPLICAS_MAX)));
            case REMOVE_SERVICE ->
                service == null
                        ? null
                        : command.setRemoveService(
                                RemoveServiceRequest.newBuilder().setServiceId(service.getId()));
            case ROLL_BACK_SERVICE ->
                service == null
                        ? null
                        : command.setUpdateService(UpdateServiceRequest.newBuilder()
                                .setServiceId(service.getId())
                                .setServiceVersion(service.getMeta().getVersion())
                                .setRollback(UpdateServiceRequest.Rollback.PREVIOUS));
            case SET_AVAILABILITY ->
                node == null
                        ? null
                        : update(
                                node,
                                spec -> spec.setAvailability(pickOne(
                                        List.of(
                                                Availability.ACTIVE,
                                                Availability.ACTIVE,
                                                Availability.DRAIN,
                                                Availability.PAUSE),
                                        random)));
            case LABEL_NODE ->
                node == null
                        ? null
                        : update(
                                node,
                                spec -> spec.getAnnotationsBuilder()
                                        .putLabels("zone", random.nextBoolean() ? "a" : "b"));
            case PROMOTE -> node == null ? null : update(node, spec -> spec.setDesiredRole(NodeRole.MANAGER));
            case DEMOTE -> {
                Node chosen = pick(
                        sorted(state, Kind.NODE).stream()
                                .filter(each -> each.getSpec().getDesiredRole() == NodeRole.MANAGER)
                                .toList(),
                        random);
                yield chosen == null ? null : update(chosen, spec -> spec.setDesiredRole(NodeRole.WORKER));
            }
            case REMOVE_NODE ->
                node == null || state.nodes().size() <= NODES_MIN || node.getRole() == NodeRole.MANAGER
                        ? null
                        : command.setRemoveNode(RemoveNodeRequest.newBuilder()
                                .setNodeId(node.getId())
                                .setForce(
                                        node.getStatus().getState() != NodeStatus.State.DOWN && random.nextBoolean()));
            case CREATE_NETWORK ->
                state.networks().size() >= NETWORKS_MAX ? null : command.setCreateNetwork(newNetwork(random));
            case REMOVE_NETWORK -> {
                Network network = pick(
                        sorted(state, Kind.NETWORK).stream()
                                .filter(each -> each.getSpec()
                                        .getAnnotations()
                                        .getName()
                                        .startsWith("net"))
                                .toList(),
                        random);
                yield network == null
                        ? null
                        : command.setRemoveNetwork(
                                RemoveNetworkRequest.newBuilder().setNetworkId(network.getId()));
            }
            case CREATE_SECRET ->
                state.secrets().size() >= DATA_MAX
                        ? null
                        : command.setCreateSecret(CreateSecretRequest.newBuilder()
                                .setSpec(SecretSpec.newBuilder()
                                        .setAnnotations(named("secret"))
                                        .setData(ByteString.copyFromUtf8("s" + random.nextInt()))));
            case REMOVE_SECRET -> {
                Secret secret = pick(sorted(state, Kind.SECRET), random);
                yield secret == null
                        ? null
                        : command.setRemoveSecret(
                                RemoveSecretRequest.newBuilder().setSecretId(secret.getId()));
            }
            case CREATE_CONFIG ->
                state.configs().size() >= DATA_MAX
                        ? null
                        : command.setCreateConfig(CreateConfigRequest.newBuilder()
                                .setSpec(ConfigSpec.newBuilder()
                                        .setAnnotations(named("config"))
                                        .setData(ByteString.copyFromUtf8("c" + random.nextInt()))));
            case REMOVE_CONFIG -> {
                Config config = pick(sorted(state, Kind.CONFIG), random);
                yield config == null
                        ? null
                        : command.setRemoveConfig(
                                RemoveConfigRequest.newBuilder().setConfigId(config.getId()));
            }
            case CHANGE_CLUSTER -> {
                Cluster cluster = state.cluster();
                if (cluster == null) {
                    yield null;
                }
                var spec = cluster.getSpec().toBuilder();
                spec.getOrchestrationBuilder().setTaskHistoryRetentionLimit(random.nextInt(4) - 1);
                yield command.setUpdateCluster(UpdateClusterRequest.newBuilder()
                        .setClusterId(cluster.getId())
                        .setClusterVersion(cluster.getMeta().getVersion())
                        .setSpec(spec));
            }
            default -> throw new IllegalArgumentException(kind + " is nothing that operators do");
        };
    }

    private static <T extends com.google.protobuf.Message> List<T> sorted(ClusterState state, Kind<T> kind) {
        return state.table(kind).values().stream()
                .sorted((a, b) -> kind.id(a).compareTo(kind.id(b)))
                .toList();
    }

    private static <T> @Nullable T pick(List<T> from, Random random) {
        return from.isEmpty() ? null : from.get(random.nextInt(from.size()));
    }

    private static <T> T pickOne(List<T> from, Random random) {
        return from.get(random.nextInt(from.size()));
    }

    private static Command.Builder update(Service service, Consumer<ServiceSpec.Builder> edit) {
        ServiceSpec.Builder spec = service.getSpec().toBuilder();
        edit.accept(spec);
        return Command.newBuilder()
                .setUpdateService(UpdateServiceRequest.newBuilder()
                        .setServiceId(service.getId())
                        .setServiceVersion(service.getMeta().getVersion())
                        .setSpec(spec));
    }

    private static Command.Builder update(Node node, Consumer<NodeSpec.Builder> edit) {
        NodeSpec.Builder spec = node.getSpec().toBuilder();
        edit.accept(spec);
        return Command.newBuilder()
                .setUpdateNode(UpdateNodeRequest.newBuilder()
                        .setNodeId(node.getId())
                        .setNodeVersion(node.getMeta().getVersion())
                        .setSpec(spec));
    }

    private Annotations.Builder named(String kind) {
        return Annotations.newBuilder().setName(kind + names++);
    }

    private CreateNetworkRequest.Builder newNetwork(Random random) {
        NetworkSpec.Builder spec = NetworkSpec.newBuilder().setAnnotations(named("net"));
        if (random.nextBoolean()) {
            spec.getIpamBuilder()
                    .addConfigs(IPAMConfig.newBuilder().setSubnet("172.20." + random.nextInt(200) + ".0/28"));
        }
        return CreateNetworkRequest.newBuilder().setSpec(spec);
    }

    private static String image(Random random) {
        return pickOne(SimulatedRunner.IMAGES, random) + ":" + random.nextInt(3);
    }

    private static Duration.Builder seconds(int seconds) {
        return Duration.newBuilder().setSeconds(seconds);
    }

    private static void change(ServiceSpec.Builder spec, ClusterState state, Random random) {
        TaskSpec.Builder task = spec.getTaskBuilder();
        switch (random.nextInt(6)) {
            case 0, 1, 2 -> task.getContainerBuilder().setImage(image(random));
            case 3 -> task.setForceUpdate(task.getForceUpdate() + 1);
            case 4 -> {
                task.getContainerBuilder().clearSecrets().clearConfigs();
                addData(task, state, random);
            }
            default -> {
                task.getPlacementBuilder().clearConstraints();
                constrain(task, random);
            }
        }
    }

    private static void constrain(TaskSpec.Builder task, Random random) {
        switch (random.nextInt(4)) {
            case 0 -> task.getPlacementBuilder().addConstraints("node.labels.zone==a");
            case 1 -> task.getPlacementBuilder().addConstraints("node.labels.zone!=a");
            case 2 -> task.getPlacementBuilder().addConstraints("node.role==worker");
            default -> task.getPlacementBuilder().addConstraints("node.hostname!=w1");
        }
    }

    private static void addData(TaskSpec.Builder task, ClusterState state, Random random) {
        ContainerSpec.Builder container = task.getContainerBuilder();
        Secret secret = pick(sorted(state, Kind.SECRET), random);
        if (secret != null) {
            container.addSecrets(SecretReference.newBuilder()
                    .setSecretId(secret.getId())
                    .setSecretName(secret.getSpec().getAnnotations().getName())
                    .setFile(FileTarget.newBuilder()
                            .setName("secret")
                            .setUid("0")
                            .setGid("0")));
        }
        Config config = pick(sorted(state, Kind.CONFIG), random);
        if (config != null && random.nextBoolean()) {
            container.addConfigs(ConfigReference.newBuilder()
                    .setConfigId(config.getId())
                    .setConfigName(config.getSpec().getAnnotations().getName())
                    .setFile(FileTarget.newBuilder()
                            .setName("config")
                            .setUid("0")
                            .setGid("0")));
        }
    }

    private ServiceSpec newService(ClusterState state, Random random) {
        ServiceSpec.Builder spec = ServiceSpec.newBuilder()
                .setAnnotations(named("s"))
                .setTask(TaskSpec.newBuilder()
                        .setContainer(ContainerSpec.newBuilder().setImage(image(random))));
        if (random.nextInt(4) == 0) {
            spec.setGlobal(GlobalService.getDefaultInstance());
        } else {
            spec.setReplicated(ReplicatedService.newBuilder().setReplicas(1L + random.nextInt(REPLICAS_MAX)));
        }
        UpdateConfig.Builder update = UpdateConfig.newBuilder()
                .setParallelism(random.nextInt(3))
                .setOrder(random.nextBoolean() ? UpdateOrder.START_FIRST : UpdateOrder.STOP_FIRST)
                .setFailureAction(FailureAction.forNumber(random.nextInt(3)))
                .setMonitor(seconds(random.nextInt(6)))
                .setDelay(seconds(random.nextInt(3)));
        spec.setUpdate(update).setRollback(update);
        TaskSpec.Builder task = spec.getTaskBuilder();
        if (random.nextInt(3) == 0) {
            constrain(task, random);
        }
        if (random.nextInt(5) == 0) {
            task.getPlacementBuilder()
                    .addPlatforms(Platform.newBuilder()
                            .setOs("linux")
                            .setArchitecture(random.nextBoolean() ? "x86_64" : "aarch64"));
        }
        if (random.nextInt(5) == 0) {
            task.getPlacementBuilder().setMaxReplicas(1L + random.nextInt(2));
        }
        if (random.nextInt(5) == 0) {
            task.getResourcesBuilder().getReservationsBuilder().setNanoCpus(1_500_000_000L);
        }
        if (random.nextInt(4) == 0) {
            spec.setEndpoint(EndpointSpec.newBuilder()
                    .addPorts(PortConfig.newBuilder()
                            .setTargetPort(80)
                            .setPublishedPort(random.nextInt(3) == 0 ? 0 : 8080 + random.nextInt(2))
                            .setPublishMode(
                                    random.nextBoolean()
                                            ? PortConfig.PublishMode.HOST
                                            : PortConfig.PublishMode.INGRESS)));
        }
        if (random.nextInt(2) == 0) {
            task.setRestart(RestartPolicy.newBuilder()
                    .setCondition(RestartPolicy.RestartCondition.forNumber(random.nextInt(3)))
                    .setMaxAttempts(random.nextInt(3))
                    .setDelay(Duration.newBuilder()
                            .setNanos(random.nextInt(900_000_000))
                            .setSeconds(random.nextInt(4))));
        }
        if (random.nextInt(3) == 0) {
            Network network = pick(
                    sorted(state, Kind.NETWORK).stream()
                            .filter(each ->
                                    each.getSpec().getAnnotations().getName().startsWith("net"))
                            .toList(),
                    random);
            if (network != null) {
                task.addNetworks(NetworkAttachmentConfig.newBuilder().setTarget(network.getId()));
            }
        }
        if (random.nextInt(2) == 0) {
            addData(task, state, random);
        }
        if (random.nextInt(6) == 0) {
            spec.clearUpdate().clearRollback();
            if (random.nextBoolean()) {
                spec.setGlobalJob(GlobalJob.getDefaultInstance());
            } else {
                spec.setReplicatedJob(ReplicatedJob.newBuilder()
                        .setMaxConcurrent(1L + random.nextInt(3))
                        .setTotalCompletions(1L + random.nextInt(5)));
            }
            spec.getTaskBuilder()
                    .getRestartBuilder()
                    .setCondition(RestartPolicy.RestartCondition.ON_FAILURE)
                    .setMaxAttempts(0);
        }
        return spec.build();
    }
}
