package io.skep.control;

import static io.skep.control.TestKit.ids;
import static io.skep.control.TestKit.network;
import static io.skep.control.TestKit.spec;
import static io.skep.control.TestKit.world;
import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.Duration;
import io.skep.control.CommandException.Code;
import io.skep.store.Kind;
import io.skep.wire.Command;
import io.skep.wire.Config;
import io.skep.wire.ConfigReference;
import io.skep.wire.CreateServiceRequest;
import io.skep.wire.EndpointSpec;
import io.skep.wire.FileTarget;
import io.skep.wire.GlobalService;
import io.skep.wire.HealthConfig;
import io.skep.wire.Mount;
import io.skep.wire.NetworkAttachmentConfig;
import io.skep.wire.PortConfig;
import io.skep.wire.RemoveNetworkRequest;
import io.skep.wire.RemoveServiceRequest;
import io.skep.wire.ReplicatedJob;
import io.skep.wire.Resources;
import io.skep.wire.RestartPolicy;
import io.skep.wire.Secret;
import io.skep.wire.SecretReference;
import io.skep.wire.Service;
import io.skep.wire.ServiceSpec;
import io.skep.wire.UpdateConfig;
import io.skep.wire.UpdateServiceRequest;
import io.skep.wire.UpdateStatus;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class ServiceCommandsTest {
    private final TestWorld world = world();
    private final TestLeader leader = new TestLeader(world, ids(1));

    private static Command.Builder create(ServiceSpec.Builder spec) {
        return Command.newBuilder()
                .setCreateService(CreateServiceRequest.newBuilder().setSpec(spec));
    }

    private static Command.Builder update(Service service, ServiceSpec.Builder spec) {
        return Command.newBuilder()
                .setUpdateService(UpdateServiceRequest.newBuilder()
                        .setServiceId(service.getId())
                        .setServiceVersion(service.getMeta().getVersion())
                        .setSpec(spec));
    }

    private Service created(ServiceSpec.Builder spec) {
        return stored(leader.run(create(spec)).getService().getId());
    }

    private Service stored(String id) {
        return requireNonNull(world.state().services().get(id));
    }

    private void assertRefused(Command.Builder command, Code code, String text) {
        CommandException refusal = requireNonNull(leader.attempt(command).refusal(), "refusal");
        assertThat(refusal.text()).isEqualTo(text);
        assertThat(refusal.code()).isEqualTo(code);
    }

    private static ServiceSpec.Builder changed(Consumer<ServiceSpec.Builder> change) {
        ServiceSpec.Builder spec = spec("web", 1);
        change.accept(spec);
        return spec;
    }

    private static PortConfig.Builder port(int published) {
        return PortConfig.newBuilder().setTargetPort(80).setPublishedPort(published);
    }

    static Stream<Arguments> refusals() {
        return Stream.of(
                refused("meta: name must be provided", spec -> spec.clearAnnotations()),
                refused("name must be valid as a DNS name component", spec -> named(spec, "a.b")),
                refused("name must be valid as a DNS name component", spec -> named(spec, "-a")),
                refused("name must be 63 characters or fewer", spec -> named(spec, "a".repeat(64))),
                refused(
                        "TaskSpec: missing runtime",
                        spec -> spec.getTaskBuilder().clearContainer()),
                refused("ContainerSpec: image reference must be provided", spec -> image(spec, "")),
                refused("ContainerSpec: \"a b\" is not a valid repository/tag", spec -> image(spec, "a b")),
                refused(
                        "invalid cpu value 0.0001: Must be at least 0.001",
                        spec -> spec.getTaskBuilder()
                                .getResourcesBuilder()
                                .setLimits(Resources.newBuilder().setNanoCpus(100_000))),
                refused(
                        "invalid cpu value 1e-09: Must be at least 0.001",
                        spec -> spec.getTaskBuilder()
                                .getResourcesBuilder()
                                .setLimits(Resources.newBuilder().setNanoCpus(1))),
                refused(
                        "invalid memory value 4194303: Must be at least 4MiB",
                        spec -> spec.getTaskBuilder()
                                .getResourcesBuilder()
                                .setReservations(Resources.newBuilder().setMemoryBytes((4 << 20) - 1))),
                refused(
                        "ContainerSpec: duplicate mount point: /x",
                        spec -> spec.getTaskBuilder()
                                .getContainerBuilder()
                                .addMounts(Mount.newBuilder().setTarget("/x"))
                                .addMounts(Mount.newBuilder().setTarget("/x"))),
                refused(
                        "ContainerSpec: Interval in HealthConfig cannot be less than 1ms",
                        spec -> spec.getTaskBuilder()
                                .getContainerBuilder()
                                .setHealthcheck(HealthConfig.newBuilder().setInterval(nanos(999_999)))),
                refused(
                        "TaskSpec: restart-delay cannot be negative",
                        spec -> spec.getTaskBuilder()
                                .setRestart(RestartPolicy.newBuilder().setDelay(nanos(-1)))),
                refused(
                        "TaskSpec: update-delay cannot be negative",
                        spec -> spec.setUpdate(UpdateConfig.newBuilder().setDelay(nanos(-1)))),
                refused(
                        "TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1",
                        spec -> spec.setRollback(UpdateConfig.newBuilder().setMaxFailureRatio(1.1f))),
                refused(
                        "Number of replicas must be non-negative",
                        spec -> spec.getReplicatedBuilder().setReplicas(-1)),
                refused(
                        "Jobs may not have an update config",
                        spec -> spec.setReplicatedJob(ReplicatedJob.getDefaultInstance())
                                .setUpdate(UpdateConfig.getDefaultInstance())),
                refused(
                        "EndpointSpec: port published with ingress mode can't be used with dnsrr mode",
                        spec -> spec.getEndpointBuilder()
                                .setMode(EndpointSpec.ResolutionMode.DNSRR)
                                .addPorts(port(80))),
                refused(
                        "EndpointSpec: duplicate published ports provided",
                        spec -> spec.getEndpointBuilder().addPorts(port(80)).addPorts(port(80))),
                refused(
                        "malformed secret reference",
                        spec -> spec.getTaskBuilder()
                                .getContainerBuilder()
                                .addSecrets(SecretReference.getDefaultInstance())),
                refused(
                        "secret references 'a' and 'b' have a conflicting target: 'f'",
                        spec -> spec.getTaskBuilder()
                                .getContainerBuilder()
                                .addSecrets(secret("a", "f"))
                                .addSecrets(secret("b", "f"))),
                refused(
                        "secret not found: a",
                        spec -> spec.getTaskBuilder().getContainerBuilder().addSecrets(secret("a", "f"))),
                refused(
                        "secrets not found: a, b",
                        spec -> spec.getTaskBuilder()
                                .getContainerBuilder()
                                .addSecrets(secret("a", "f"))
                                .addSecrets(secret("b", "g"))),
                refused(
                        "config not found: c",
                        spec -> spec.getTaskBuilder()
                                .getContainerBuilder()
                                .addConfigs(ConfigReference.newBuilder()
                                        .setConfigId("c-id")
                                        .setConfigName("c")
                                        .setFile(FileTarget.newBuilder().setName("f")))));
    }

    private static Arguments refused(String text, Consumer<ServiceSpec.Builder> change) {
        return Arguments.of(text, change);
    }

    private static void named(ServiceSpec.Builder spec, String name) {
        spec.getAnnotationsBuilder().setName(name);
    }

    private static void image(ServiceSpec.Builder spec, String image) {
        spec.getTaskBuilder().getContainerBuilder().setImage(image);
    }

    private static Duration nanos(int nanos) {
        return Duration.newBuilder().setNanos(nanos).build();
    }

    private static SecretReference.Builder secret(String name, String file) {
        return SecretReference.newBuilder()
                .setSecretId(name + "-id")
                .setSecretName(name)
                .setFile(FileTarget.newBuilder().setName(file));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("refusals")
    void refusesWhatIsWrongInDockersWords(String text, Consumer<ServiceSpec.Builder> change) {
        assertRefused(create(changed(change)), Code.INVALID_ARGUMENT, text);
        assertThat(world.state().services().size()).isZero();
    }

    @Test
    void aNewServiceHasDefaults() {
        Service service = created(spec("web", 1).clearMode());
        assertThat(service.getSpec().getReplicated().getReplicas()).isEqualTo(1);
        assertThat(service.hasSpecVersion()).isTrue();
        assertThat(service.getSpecVersion().getIndex()).isZero();
        assertThat(service.hasJobStatus()).isFalse();
        assertThat(service.getMeta().getVersion().getIndex())
                .isEqualTo(world.state().version());
    }

    @Test
    void theAnswerNamesTheServiceOnly() {
        Service answered = leader.run(create(spec("web", 1))).getService();
        assertThat(answered.getSpec().getAnnotations().getName()).isEqualTo("web");
        assertThat(answered.getMeta().getVersion().getIndex()).isPositive();
        assertThat(answered.getSpec().hasTask()).isFalse();
    }

    @Test
    void jobsHaveAStatusThatCountsUpdates() {
        Service job = created(
                spec("job", 1).setReplicatedJob(ReplicatedJob.newBuilder().setMaxConcurrent(3)));
        assertThat(job.getSpec().getReplicatedJob().getTotalCompletions()).isEqualTo(3);
        assertThat(job.getJobStatus().getJobIteration().getIndex()).isZero();
        assertThat(job.getJobStatus().getLastExecution()).isEqualTo(Times.timestamp(world.now()));
        leader.run(update(job, job.getSpec().toBuilder()));
        assertThat(stored(job.getId()).getJobStatus().getJobIteration().getIndex())
                .isEqualTo(1);
    }

    @Test
    void namesDifferInMoreThanCase() {
        created(spec("web", 1));
        assertRefused(
                create(spec("WEB", 1)),
                Code.ALREADY_EXISTS,
                "name conflicts with an existing object: service WEB already exists");
    }

    @Test
    void constraintsAreRead() {
        assertRefused(
                create(changed(
                        spec -> spec.getTaskBuilder().getPlacementBuilder().addConstraints("node.role=manager"))),
                Code.UNKNOWN,
                "constraint expected one operator from ==, !=");
    }

    @Test
    void publishedPortsAreUnique() {
        leader.change(transaction -> new NetworkCommands(ids(2)).createFirst(transaction));
        Service web = created(changed(spec -> spec.getEndpointBuilder().addPorts(port(80))));
        Service host = created(spec("host", 1)
                .setEndpoint(EndpointSpec.newBuilder().addPorts(port(81).setPublishMode(PortConfig.PublishMode.HOST))));
        ServiceSpec.Builder other = spec("other", 1);
        assertRefused(
                create(other.setEndpoint(EndpointSpec.newBuilder().addPorts(port(80)))),
                Code.INVALID_ARGUMENT,
                "port '80' is already in use by service 'web' (" + web.getId() + ") as an ingress port");
        assertRefused(
                create(other.setEndpoint(EndpointSpec.newBuilder().addPorts(port(81)))),
                Code.INVALID_ARGUMENT,
                "port '81' is already in use by service 'host' (" + host.getId() + ") as a host-published port");
        created(other.setEndpoint(EndpointSpec.newBuilder()
                .addPorts(port(80).setProtocol(PortConfig.Protocol.UDP))
                .addPorts(port(81).setPublishMode(PortConfig.PublishMode.HOST))));
        leader.run(update(web, web.getSpec().toBuilder()));
    }

    @Test
    void withoutRoutingMeshNothingIsPublishedThroughIt() {
        assertRefused(
                create(changed(spec -> spec.getEndpointBuilder().addPorts(port(0)))),
                Code.FAILED_PRECONDITION,
                "service needs ingress network, but no ingress network is present");
    }

    @Test
    void networksAreNamedByIdOrName() {
        leader.change(transaction -> {
            new NetworkCommands(ids(2)).createFirst(transaction);
            transaction.put(Kind.NETWORK, network("back").build());
        });
        Service service = created(changed(spec -> spec.getTaskBuilder()
                .addNetworks(NetworkAttachmentConfig.newBuilder().setTarget("back"))));
        assertThat(service.getSpec().getTask().getNetworks(0).getTarget()).isEqualTo("back-id");
        assertRefused(
                create(spec("b", 1)
                        .addNetworks(NetworkAttachmentConfig.newBuilder().setTarget("front"))),
                Code.NOT_FOUND,
                "network front not found");
        assertRefused(
                create(spec("b", 1)
                        .addNetworks(NetworkAttachmentConfig.newBuilder().setTarget("ingress"))),
                Code.INVALID_ARGUMENT,
                "Service cannot be explicitly attached to the ingress network \"ingress\"");
    }

    @Test
    void secretsAndConfigsThatExistMayBeUsed() {
        leader.change(transaction -> {
            transaction.put(Kind.SECRET, Secret.newBuilder().setId("a-id").build());
            transaction.put(Kind.CONFIG, Config.newBuilder().setId("c-id").build());
        });
        Service service = created(changed(spec -> spec.getTaskBuilder()
                .getContainerBuilder()
                .addSecrets(secret("a", "f"))
                .addConfigs(ConfigReference.newBuilder()
                        .setConfigId("c-id")
                        .setConfigName("c")
                        .setFile(FileTarget.newBuilder().setName("f")))));
        assertThat(service.getSpec().getTask().getContainer().getSecretsCount()).isEqualTo(1);
    }

    @Test
    void anUpdateKeepsWhatWasBefore() {
        Service before = created(spec("web", 1));
        leader.run(update(before, changed(spec -> image(spec, "nginx:2"))));
        Service after = stored(before.getId());
        assertThat(after.getPreviousSpec()).isEqualTo(before.getSpec());
        assertThat(after.getPreviousSpecVersion()).isEqualTo(before.getSpecVersion());
        assertThat(after.getSpecVersion()).isEqualTo(before.getMeta().getVersion());
        assertThat(after.hasUpdateStatus()).isFalse();
    }

    @Test
    void anUpdateIsOfTheNewestVersion() {
        Service before = created(spec("web", 1));
        leader.run(update(before, spec("web", 2)));
        assertRefused(update(before, spec("web", 3)), Code.UNKNOWN, "update out of sequence");
        Command.Builder without = update(before, spec("web", 3));
        without.getUpdateServiceBuilder().clearServiceVersion();
        assertRefused(without, Code.INVALID_ARGUMENT, "invalid argument");
    }

    @Test
    void nameAndModeStay() {
        Service service = created(spec("web", 1));
        assertRefused(update(service, spec("www", 1)), Code.UNIMPLEMENTED, "renaming services is not supported");
        assertRefused(
                update(service, spec("web", 1).setGlobal(GlobalService.getDefaultInstance())),
                Code.UNIMPLEMENTED,
                "service mode change is not allowed");
    }

    @Test
    void aRollbackSwapsTheSpecs() {
        Service first = created(spec("web", 1));
        Command.Builder rollback = Command.newBuilder()
                .setUpdateService(UpdateServiceRequest.newBuilder()
                        .setServiceId(first.getId())
                        .setServiceVersion(first.getMeta().getVersion())
                        .setRollback(UpdateServiceRequest.Rollback.PREVIOUS));
        assertRefused(
                rollback, Code.FAILED_PRECONDITION, "service " + first.getId() + " does not have a previous spec");
        leader.run(update(first, spec("web", 2)));
        Service second = stored(first.getId());
        rollback.getUpdateServiceBuilder().setServiceVersion(second.getMeta().getVersion());
        leader.run(rollback);
        Service third = stored(first.getId());
        assertThat(third.getSpec()).isEqualTo(first.getSpec());
        assertThat(third.getSpecVersion()).isEqualTo(first.getSpecVersion());
        assertThat(third.getPreviousSpec()).isEqualTo(second.getSpec());
        assertThat(third.getPreviousSpecVersion()).isEqualTo(second.getSpecVersion());
        assertThat(third.getUpdateStatus().getState()).isEqualTo(UpdateStatus.UpdateState.ROLLBACK_STARTED);
        assertThat(third.getUpdateStatus().getMessage()).isEqualTo("manually requested rollback");
    }

    @Test
    void aJobThatIsRolledBackRunsAgainAsItWas() {
        ServiceSpec.Builder job = changed(spec -> image(spec, "nginx:1"))
                .setReplicatedJob(ReplicatedJob.newBuilder().setTotalCompletions(2));
        Service first = created(job);
        leader.run(update(first, job.clone().setReplicatedJob(ReplicatedJob.getDefaultInstance())));
        Service second = stored(first.getId());
        leader.run(Command.newBuilder()
                .setUpdateService(UpdateServiceRequest.newBuilder()
                        .setServiceId(first.getId())
                        .setServiceVersion(second.getMeta().getVersion())
                        .setRollback(UpdateServiceRequest.Rollback.PREVIOUS)));
        Service third = stored(first.getId());
        assertThat(third.getSpec()).isEqualTo(first.getSpec());
        assertThat(third.getJobStatus().getJobIteration().getIndex()).isEqualTo(2);
        assertThat(third.hasUpdateStatus()).isFalse();
    }

    @Test
    void noRollbackToANetworkThatIsGone() {
        leader.change(
                transaction -> transaction.put(Kind.NETWORK, network("old").build()));
        ServiceSpec.Builder attached = spec("web", 1);
        attached.getTaskBuilder()
                .addNetworks(NetworkAttachmentConfig.newBuilder().setTarget("old"));
        Service first = created(attached);
        Command.Builder remove = Command.newBuilder()
                .setRemoveNetwork(RemoveNetworkRequest.newBuilder().setNetworkId("old-id"));
        assertRefused(remove, Code.FAILED_PRECONDITION, "network old-id is in use by service " + first.getId());
        leader.run(update(first, spec("web", 1)));
        leader.run(remove);
        Service second = stored(first.getId());
        assertRefused(
                Command.newBuilder()
                        .setUpdateService(UpdateServiceRequest.newBuilder()
                                .setServiceId(first.getId())
                                .setServiceVersion(second.getMeta().getVersion())
                                .setRollback(UpdateServiceRequest.Rollback.PREVIOUS)),
                Code.FAILED_PRECONDITION,
                "service " + first.getId() + " cannot be rolled back: network old-id of its previous spec"
                        + " does not exist any more; update the service instead");
        assertThat(stored(first.getId())).isEqualTo(second);
    }

    @Test
    void removesWhatIsThere() {
        Service service = created(spec("web", 1));
        Command.Builder remove = Command.newBuilder()
                .setRemoveService(RemoveServiceRequest.newBuilder().setServiceId(service.getId()));
        leader.run(remove);
        assertThat(world.state().services().size()).isZero();
        assertRefused(remove, Code.NOT_FOUND, "service " + service.getId() + " not found");
        assertRefused(update(service, spec("web", 1)), Code.NOT_FOUND, "service " + service.getId() + " not found");
    }
}
