package io.skep.control;

import io.skep.control.CommandException.Code;
import io.skep.store.ClusterState;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.Annotations;
import io.skep.wire.AttachNetwork;
import io.skep.wire.CommandResult;
import io.skep.wire.CreateNetworkRequest;
import io.skep.wire.DetachNetwork;
import io.skep.wire.Driver;
import io.skep.wire.IPAMConfig;
import io.skep.wire.IPAMOptions;
import io.skep.wire.Network;
import io.skep.wire.NetworkAttachment;
import io.skep.wire.NetworkAttachmentConfig;
import io.skep.wire.NetworkAttachmentSpec;
import io.skep.wire.NetworkSpec;
import io.skep.wire.RemoveNetworkRequest;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskSpec;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The commands about networks: make and remove them, attach a container of an engine to one (swarm-wire 4.2, 8.5). */
final class NetworkCommands {
    static final String PREDEFINED_LABEL = "com.docker.swarm.predefined";
    private static final String INGRESS_NAME = "ingress";

    private final IdSource ids;

    NetworkCommands(IdSource ids) {
        this.ids = ids;
    }

    /** Makes the networks that every cluster begins with: the routing mesh, and names for two that each node has. */
    void createFirst(Transaction transaction) {
        transaction.put(
                Kind.NETWORK,
                newNetwork(NetworkSpec.newBuilder()
                        .setAnnotations(Annotations.newBuilder().setName(INGRESS_NAME))
                        .setDriverConfig(Driver.getDefaultInstance())
                        .setIpam(IPAMOptions.getDefaultInstance())
                        .setIngress(true)
                        .build()));
        for (String name : List.of("bridge", "host")) {
            transaction.put(
                    Kind.NETWORK,
                    newNetwork(NetworkSpec.newBuilder()
                            .setAnnotations(
                                    Annotations.newBuilder().setName(name).putLabels(PREDEFINED_LABEL, "true"))
                            .setDriverConfig(Driver.newBuilder().setName(name))
                            .build()));
        }
    }

    CommandResult create(Transaction transaction, CreateNetworkRequest request) {
        if (!request.hasSpec()) {
            throw Lookups.invalidArgument();
        }
        ClusterState state = transaction.state();
        NetworkSpec spec = request.getSpec();
        if (spec.getIngress() && spec.getAttachable()) {
            throw invalid("ingress network cannot be attachable");
        }
        Names.requireName(spec.getAnnotations());
        if (spec.getAnnotations().containsLabels(PREDEFINED_LABEL)) {
            throw new CommandException(
                    Code.PERMISSION_DENIED,
                    "label " + PREDEFINED_LABEL + " is for internally created predefined networks"
                            + " and cannot be applied by users");
        }
        checkDriver(spec);
        checkSubnets(state, spec);
        Network ingress = Lookups.ingress(state);
        if (spec.getIngress() && ingress != null) {
            throw new CommandException(
                    Code.ALREADY_EXISTS, "ingress network (" + ingress.getId() + ") is already present");
        }
        String name = spec.getAnnotations().getName();
        if (state.networks().byName(name) != null) {
            throw new CommandException(Code.ALREADY_EXISTS, "network with name " + name + " already exists");
        }
        return Answers.of(transaction.put(Kind.NETWORK, newNetwork(spec)));
    }

    CommandResult remove(Transaction transaction, RemoveNetworkRequest request) {
        ClusterState state = transaction.state();
        String wanted = request.getNetworkId().isEmpty() ? request.getName() : request.getNetworkId();
        if (wanted.isEmpty()) {
            throw Lookups.invalidArgument();
        }
        Network network = Lookups.network(state, wanted);
        if (network == null) {
            throw new CommandException(Code.NOT_FOUND, "network " + wanted + " not found");
        }
        String id = network.getId();
        if (network.getSpec().getAnnotations().containsLabels(PREDEFINED_LABEL)) {
            throw new CommandException(
                    Code.FAILED_PRECONDITION,
                    "network " + network.getSpec().getAnnotations().getName() + " (" + id
                            + ") is predefined and cannot be removed");
        }
        for (Service service : state.services().values()) {
            if (uses(service, network, state)) {
                throw new CommandException(
                        Code.FAILED_PRECONDITION, "network " + id + " is in use by service " + service.getId());
            }
        }
        for (Task task : state.tasks().values()) {
            if (uses(task, id)) {
                throw new CommandException(
                        Code.FAILED_PRECONDITION, "network " + id + " is in use by task " + task.getId());
            }
        }
        transaction.remove(Kind.NETWORK, id);
        return Answers.ofId(id);
    }

    CommandResult attach(Transaction transaction, Instant now, AttachNetwork command) {
        ClusterState state = transaction.state();
        NetworkAttachmentConfig config = command.getRequest().getConfig();
        Lookups.require(state, Kind.NODE, command.getNodeId());
        Network network = Lookups.network(state, config.getTarget());
        if (network == null) {
            throw new CommandException(Code.NOT_FOUND, "network " + config.getTarget() + " not found");
        }
        if (!network.getSpec().getAttachable()) {
            throw new CommandException(
                    Code.PERMISSION_DENIED, "network " + config.getTarget() + " not manually attachable");
        }
        Task task = Task.newBuilder()
                .setId(ids.nextId())
                .setNodeId(command.getNodeId())
                .setSpec(TaskSpec.newBuilder()
                        .setAttachment(NetworkAttachmentSpec.newBuilder()
                                .setContainerId(command.getRequest().getContainerId()))
                        .addNetworks(config.toBuilder().setTarget(network.getId())))
                .setStatus(TaskStatus.newBuilder()
                        .setState(TaskState.NEW)
                        .setTimestamp(Times.timestamp(now))
                        .setMessage("created"))
                .setDesiredState(TaskState.RUNNING)
                .build();
        transaction.put(Kind.TASK, task);
        return Answers.ofId(task.getId());
    }

    CommandResult detach(Transaction transaction, DetachNetwork command) {
        String id = command.getRequest().getAttachmentId();
        if (id.isEmpty()) {
            throw Lookups.invalidArgument();
        }
        Task task = transaction.state().tasks().get(id);
        if (task == null || !task.getSpec().hasAttachment()) {
            throw new CommandException(Code.NOT_FOUND, "attachment " + id + " not found");
        }
        if (!task.getNodeId().equals(command.getNodeId())) {
            throw new CommandException(Code.PERMISSION_DENIED, "attachment " + id + " belongs to another node");
        }
        transaction.remove(Kind.TASK, id);
        return Answers.ofId(id);
    }

    private Network newNetwork(NetworkSpec spec) {
        return Network.newBuilder().setId(ids.nextId()).setSpec(spec).build();
    }

    private static boolean uses(Service service, Network network, ClusterState state) {
        return (network.getSpec().getIngress()
                        && Lookups.hasMeshPorts(service.getSpec().getEndpoint()))
                || Lookups.networksOf(service.getSpec()).stream()
                        .anyMatch(config -> network.equals(Lookups.network(state, config.getTarget())));
    }

    private static boolean uses(Task task, String networkId) {
        if (task.getStatus().getStateValue() > TaskState.RUNNING_VALUE
                || task.getDesiredStateValue() > TaskState.COMPLETE_VALUE) {
            return false;
        }
        for (NetworkAttachment attachment : task.getNetworksList()) {
            if (attachment.getNetwork().getId().equals(networkId)) {
                return true;
            }
        }
        return task.getSpec().getNetworksList().stream()
                .anyMatch(config -> config.getTarget().equals(networkId));
    }

    private static void checkDriver(NetworkSpec spec) {
        String driver = spec.getDriverConfig().getName();
        if (!NetworkSpace.isOverlay(driver) && !NetworkSpace.isNodeLocal(driver)) {
            throw new CommandException(
                    Code.UNIMPLEMENTED,
                    "network driver " + driver + " is not supported for networks of a swarm: use overlay");
        }
        if (spec.getIngress() && !NetworkSpace.isOverlay(driver)) {
            throw invalid("ingress network must use the overlay driver, not " + driver);
        }
        String ipamDriver = spec.getIpam().getDriver().getName();
        if (!ipamDriver.isEmpty() && !ipamDriver.equals("default")) {
            throw new CommandException(
                    Code.UNIMPLEMENTED, "IPAM driver " + ipamDriver + " is not supported: use default");
        }
        try {
            NetworkSpace.vnis(spec.getDriverConfig());
        } catch (IllegalArgumentException e) {
            throw invalid("driver option " + NetworkSpace.VNI_LIST + " is not understood: " + e.getMessage());
        }
    }

    private static void checkSubnets(ClusterState state, NetworkSpec spec) {
        List<Subnet> own = new ArrayList<>();
        for (IPAMConfig config : spec.getIpam().getConfigsList()) {
            Subnet subnet = config.getSubnet().isEmpty() ? null : subnet("subnet", config.getSubnet());
            if (subnet != null) {
                own.stream().filter(subnet::overlaps).findAny().ifPresent(other -> {
                    throw invalid("ipam configuration: subnet " + subnet + " overlaps with " + other);
                });
                own.add(subnet);
            }
            if (!config.getRange().isEmpty()) {
                Subnet range = subnet("range", config.getRange());
                // A pool counts addresses from the first one, so its range must begin where such a number reaches.
                if (subnet == null
                        || !subnet.contains(range)
                        || subnet.offset(Subnet.parseAddress(config.getRange())) < 0) {
                    throw invalid("ipam configuration: range " + range + " is not within a subnet");
                }
            }
            requireAddress("gateway", config.getGateway(), subnet);
            config.getReservedMap().forEach((name, address) -> requireAddress(name, address, subnet));
        }
        if (!NetworkSpace.isOverlay(spec.getDriverConfig().getName())) {
            return;
        }
        for (Network other : state.networks().values()) {
            for (IPAMConfig theirs : other.getIpam().getConfigsList()) {
                Subnet taken = Subnet.parse(theirs.getSubnet());
                own.stream().filter(taken::overlaps).findAny().ifPresent(subnet -> {
                    throw new CommandException(
                            Code.FAILED_PRECONDITION,
                            "ipam configuration: subnet " + subnet + " overlaps with " + taken + " of network "
                                    + other.getSpec().getAnnotations().getName());
                });
            }
        }
    }

    private static Subnet subnet(String field, String text) {
        try {
            return Subnet.parse(text);
        } catch (IllegalArgumentException e) {
            throw invalid("ipam configuration: invalid " + field + " " + text);
        }
    }

    private static void requireAddress(String field, String text, @Nullable Subnet subnet) {
        if (text.isEmpty()) {
            return;
        }
        byte[] address;
        try {
            address = Subnet.parseAddress(text);
        } catch (IllegalArgumentException e) {
            throw invalid("ipam configuration: invalid " + field + " " + text);
        }
        if (text.indexOf('/') >= 0) {
            throw invalid("ipam configuration: " + field + " " + text + " is an address without prefix length");
        }
        if (subnet == null || subnet.offset(address) < 0) {
            throw invalid("ipam configuration: " + field + " " + text + " is not within a subnet");
        }
    }

    private static CommandException invalid(String text) {
        return new CommandException(Code.INVALID_ARGUMENT, text);
    }
}
