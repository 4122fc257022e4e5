package io.skep.control;

import com.google.protobuf.Message;
import io.skep.store.ClusterState;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.Cluster;
import io.skep.wire.Endpoint;
import io.skep.wire.EndpointSpec;
import io.skep.wire.Network;
import io.skep.wire.NetworkAttachment;
import io.skep.wire.NetworkAttachmentConfig;
import io.skep.wire.Node;
import io.skep.wire.PortConfig;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Gives networks their subnets and VXLAN numbers, services their ports and virtual addresses, tasks and nodes their
 * addresses (swarm-wire 7.1).
 *
 * <p>What is in use follows from the state alone: each change that is observed claims what the object has now and
 * releases what it had before. Within {@link #act} things are claimed when they are taken, and claimed again, without
 * effect, when the change is observed. A task owns its addresses until it has ended, even if it is kept for history.
 *
 * <p>What cannot be had waits, and is tried again after anything was released; tasks that wait say for what. A service
 * that waits gives back its addresses in networks it does not ask for any more, as these may be removed meanwhile; its
 * ports it keeps, as its old tasks serve on them. A task is given on to the scheduler, by its state PENDING, when it
 * has all it needs.
 */
final class Allocator implements Loop {
    private static final String ALLOCATED_MESSAGE = "pending task scheduling";

    private final NetworkSpace networks = new NetworkSpace();
    private final PortSpace ports = new PortSpace();
    private final Set<String> dirtyNetworks = new LinkedHashSet<>();
    private final Set<String> dirtyServices = new LinkedHashSet<>();
    private final Set<String> dirtyTasks = new LinkedHashSet<>();
    private final Set<String> dirtyNodes = new LinkedHashSet<>();
    private final Map<String, String> networkFailures = new TreeMap<>();
    private final Map<String, String> serviceFailures = new TreeMap<>();
    private final Set<String> waitingTasks = new LinkedHashSet<>();
    private final Set<String> waitingNodes = new LinkedHashSet<>();
    private boolean somethingReleased;

    Allocator(ClusterState state) {
        for (Network network : oldestFirst(Kind.NETWORK, state.networks().values())) {
            networks.add(network);
            dirtyNetworks.add(network.getId());
        }
        for (Node node : oldestFirst(Kind.NODE, state.nodes().values())) {
            claim(node);
            dirtyNodes.add(node.getId());
        }
        for (Service service : oldestFirst(Kind.SERVICE, state.services().values())) {
            claim(service);
            dirtyServices.add(service.getId());
        }
        List<Task> concerned = state.tasks().values().stream()
                .filter(task -> task.getNetworksCount() > 0 || isWaiting(task))
                .toList();
        for (Task task : oldestFirst(Kind.TASK, concerned)) {
            claim(task);
            if (isWaiting(task)) {
                dirtyTasks.add(task.getId());
            }
        }
    }

    private static <T extends Message> List<T> oldestFirst(Kind<T> kind, Collection<T> objects) {
        Function<T, Instant> made = object -> Times.instant(kind.meta(object).getCreatedAt());
        return objects.stream()
                .sorted(Comparator.comparing(made).thenComparing(kind::id))
                .toList();
    }

    @Override
    public void observe(Event<?> event, ClusterState state) {
        Event<Network> network = event.as(Kind.NETWORK);
        if (network != null) {
            observeNetwork(network, state);
        }
        Event<Service> service = event.as(Kind.SERVICE);
        if (service != null) {
            observeService(service);
        }
        Event<Task> task = event.as(Kind.TASK);
        if (task != null) {
            observeTask(task);
        }
        Event<Node> node = event.as(Kind.NODE);
        if (node != null) {
            observeNode(node);
        }
    }

    private void observeNetwork(Event<Network> event, ClusterState state) {
        Network after = event.after();
        if (after == null) {
            networks.remove(event.object());
            networkFailures.remove(event.id());
            somethingReleased = true;
        } else {
            networks.add(after);
            dirtyNetworks.add(after.getId());
        }
        // A network may go while tasks in it are still about to stop.
        boolean mesh = event.object().getSpec().getIngress();
        if (mesh || after == null) {
            for (Node node : state.nodes().values()) {
                if (mesh || isAttached(node, event.id())) {
                    dirtyNodes.add(node.getId());
                }
            }
        }
    }

    private static boolean isAttached(Node node, String networkId) {
        return node.getAttachmentsList().stream()
                .anyMatch(attachment -> attachment.getNetwork().getId().equals(networkId));
    }

    private void observeService(Event<Service> event) {
        Service before = event.before();
        Service after = event.after();
        String owner = serviceOwner(event.id());
        if (after != null) {
            claim(after);
            dirtyServices.add(after.getId());
        } else {
            serviceFailures.remove(event.id());
        }
        if (before != null) {
            Endpoint kept = after == null ? Endpoint.getDefaultInstance() : after.getEndpoint();
            for (Endpoint.VirtualIP address : before.getEndpoint().getVirtualIpsList()) {
                if (!kept.getVirtualIpsList().contains(address)) {
                    somethingReleased |= networks.release(address.getNetworkId(), List.of(address.getAddr()), owner);
                }
            }
            for (PortConfig port : before.getEndpoint().getPortsList()) {
                if (isMeshPort(port) && kept.getPortsList().stream().noneMatch(other -> isSamePort(other, port))) {
                    somethingReleased |= ports.release(port, event.id());
                }
            }
        }
    }

    private void observeTask(Event<Task> event) {
        Task before = event.before();
        Task after = event.after();
        if (after != null && isWaiting(after)) {
            dirtyTasks.add(after.getId());
        } else {
            waitingTasks.remove(event.id());
        }
        boolean holdsBefore = before != null && !TaskStates.isTerminal(before);
        boolean holdsAfter = after != null && !TaskStates.isTerminal(after);
        if (before != null
                && after != null
                && holdsBefore == holdsAfter
                && before.getNodeId().equals(after.getNodeId())
                && before.getNetworksList().equals(after.getNetworksList())) {
            return;
        }
        if (after != null && holdsAfter) {
            claim(after);
        }
        if (before != null && holdsBefore) {
            List<NetworkAttachment> kept = after != null && holdsAfter ? after.getNetworksList() : List.of();
            somethingReleased |= release(before.getNetworksList(), kept, taskOwner(event.id()));
        }
        markNode(before);
        markNode(after);
    }

    private void markNode(@Nullable Task task) {
        if (task != null && task.getNetworksCount() > 0 && !task.getNodeId().isEmpty()) {
            dirtyNodes.add(task.getNodeId());
        }
    }

    private void observeNode(Event<Node> event) {
        Node before = event.before();
        Node after = event.after();
        if (after != null) {
            claim(after);
            if (before == null || !before.getAttachmentsList().equals(after.getAttachmentsList())) {
                dirtyNodes.add(after.getId());
            }
        } else {
            waitingNodes.remove(event.id());
        }
        if (before != null) {
            List<NetworkAttachment> kept = after == null ? List.of() : after.getAttachmentsList();
            somethingReleased |= release(before.getAttachmentsList(), kept, nodeOwner(event.id()));
        }
    }

    @Override
    public void act(Transaction transaction, Instant now) {
        Cluster cluster = transaction.state().cluster();
        if (cluster == null) {
            return;
        }
        if (somethingReleased) {
            somethingReleased = false;
            dirtyNetworks.addAll(networkFailures.keySet());
            dirtyServices.addAll(serviceFailures.keySet());
            dirtyTasks.addAll(waitingTasks);
            dirtyNodes.addAll(waitingNodes);
        }
        drain(transaction, dirtyNetworks, id -> allocateNetwork(transaction, id, cluster));
        drain(transaction, dirtyServices, id -> allocateService(transaction, id));
        drain(transaction, dirtyTasks, id -> allocateTask(transaction, id, now));
        drain(transaction, dirtyNodes, id -> allocateNode(transaction, id));
    }

    @Override
    public @Nullable Instant nextWake() {
        return null;
    }

    private static void drain(Transaction transaction, Set<String> dirty, Consumer<String> allocate) {
        Iterator<String> ids = dirty.iterator();
        while (ids.hasNext() && !transaction.isFull()) {
            String id = ids.next();
            ids.remove();
            allocate.accept(id);
        }
    }

    private void allocateNetwork(Transaction transaction, String id, Cluster cluster) {
        Network network = transaction.state().networks().get(id);
        networkFailures.remove(id);
        if (network == null || NetworkSpace.isAllocated(network)) {
            return;
        }
        try {
            transaction.put(Kind.NETWORK, networks.allocate(network, cluster));
        } catch (AllocationException e) {
            networkFailures.put(id, e.text());
            return;
        }
        dirtyServices.addAll(serviceFailures.keySet());
        dirtyTasks.addAll(waitingTasks);
    }

    private void allocateService(Transaction transaction, String id) {
        ClusterState state = transaction.state();
        Service service = state.services().get(id);
        serviceFailures.remove(id);
        if (service == null) {
            return;
        }
        if (!isAllocated(service, state)) {
            try {
                transaction.put(
                        Kind.SERVICE,
                        service.toBuilder()
                                .setEndpoint(endpoint(service, state))
                                .build());
            } catch (AllocationException e) {
                serviceFailures.put(id, e.text());
                releaseUnwanted(transaction, service);
            }
        }
        for (String taskId : waitingTasks) {
            Task task = state.tasks().get(taskId);
            if (task != null && task.getServiceId().equals(id)) {
                dirtyTasks.add(taskId);
            }
        }
    }

    private static void releaseUnwanted(Transaction transaction, Service service) {
        Set<String> wanted =
                virtualAddressNetworks(service, transaction.state()).keySet();
        List<Endpoint.VirtualIP> kept = service.getEndpoint().getVirtualIpsList().stream()
                .filter(address -> wanted.contains(address.getNetworkId()))
                .toList();
        if (kept.size() < service.getEndpoint().getVirtualIpsCount()) {
            Service.Builder trimmed = service.toBuilder();
            trimmed.getEndpointBuilder().clearVirtualIps().addAllVirtualIps(kept);
            transaction.put(Kind.SERVICE, trimmed.build());
        }
    }

    /** Returns whether the service has all that its spec asks for, and nothing else. */
    private boolean isAllocated(Service service, ClusterState state) {
        Endpoint endpoint = service.getEndpoint();
        if (!service.hasEndpoint()
                || endpoint.hasSpec() != service.getSpec().hasEndpoint()
                || !endpoint.getSpec().equals(service.getSpec().getEndpoint())) {
            return false;
        }
        Set<String> have = new LinkedHashSet<>();
        endpoint.getVirtualIpsList().forEach(address -> have.add(address.getNetworkId()));
        return have.equals(virtualAddressNetworks(service, state).keySet());
    }

    private Endpoint endpoint(Service service, ClusterState state) throws AllocationException {
        String owner = serviceOwner(service.getId());
        Endpoint old = service.getEndpoint();
        Endpoint.Builder endpoint = Endpoint.newBuilder();
        if (service.getSpec().hasEndpoint()) {
            endpoint.setSpec(service.getSpec().getEndpoint());
        }
        List<PortConfig> takenPorts = new ArrayList<>();
        Map<String, String> takenAddresses = new HashMap<>();
        try {
            for (PortConfig wanted : service.getSpec().getEndpoint().getPortsList()) {
                PortConfig port = resolvePort(service, wanted, old, endpoint.getPortsList());
                if (isMeshPort(port) && old.getPortsList().stream().noneMatch(other -> isSamePort(other, port))) {
                    takenPorts.add(port);
                }
                endpoint.addPorts(port);
            }
            for (Map.Entry<String, @Nullable Network> wanted :
                    virtualAddressNetworks(service, state).entrySet()) {
                String networkId = wanted.getKey();
                Network network = wanted.getValue();
                if (network == null) {
                    throw new AllocationException("network " + networkId + " does not exist");
                }
                requireAllocated(network);
                String address = virtualAddress(old, networkId);
                if (address == null) {
                    address = networks.takeIpv4(network, owner);
                    takenAddresses.put(networkId, address);
                }
                endpoint.addVirtualIps(
                        Endpoint.VirtualIP.newBuilder().setNetworkId(networkId).setAddr(address));
            }
        } catch (AllocationException e) {
            takenPorts.forEach(port -> ports.release(port, service.getId()));
            takenAddresses.forEach((networkId, address) -> networks.release(networkId, List.of(address), owner));
            throw e;
        }
        return endpoint.build();
    }

    private PortConfig resolvePort(Service service, PortConfig wanted, Endpoint old, List<PortConfig> resolved)
            throws AllocationException {
        if (wanted.getPublishMode() != PortConfig.PublishMode.INGRESS) {
            return wanted;
        }
        if (wanted.getPublishedPort() != 0) {
            if (!ports.claim(wanted, service.getId())) {
                throw new AllocationException(
                        "port " + wanted.getPublishedPort() + " is already in use by service " + ports.owner(wanted));
            }
            return wanted;
        }
        for (PortConfig had : old.getPortsList()) {
            boolean same = had.toBuilder().clearPublishedPort().build().equals(wanted);
            boolean usedAgain = resolved.stream().anyMatch(other -> isSamePort(other, had))
                    || service.getSpec().getEndpoint().getPortsList().stream()
                            .anyMatch(other -> isSamePort(other, had));
            if (same && !usedAgain) {
                return had;
            }
        }
        int port = ports.take(wanted.getProtocol(), service.getId());
        return wanted.toBuilder().setPublishedPort(port).build();
    }

    /** Returns the networks in which a service has a virtual address, by id; null for one that does not exist. */
    private static Map<String, @Nullable Network> virtualAddressNetworks(Service service, ClusterState state) {
        Map<String, @Nullable Network> found = new LinkedHashMap<>();
        EndpointSpec spec = service.getSpec().getEndpoint();
        if (spec.getMode() != EndpointSpec.ResolutionMode.VIP) {
            return found;
        }
        if (Lookups.hasMeshPorts(spec)) {
            Network ingress = Lookups.ingress(state);
            found.put(ingress == null ? "ingress" : ingress.getId(), ingress);
        }
        for (NetworkAttachmentConfig config : Lookups.networksOf(service.getSpec())) {
            Network network = Lookups.network(state, config.getTarget());
            if (network == null) {
                found.put(config.getTarget(), null);
            } else if (NetworkSpace.isOverlay(network)) {
                found.put(network.getId(), network);
            }
        }
        return found;
    }

    private void allocateTask(Transaction transaction, String id, Instant now) {
        ClusterState state = transaction.state();
        Task task = state.tasks().get(id);
        waitingTasks.remove(id);
        if (task == null || !isWaiting(task)) {
            return;
        }
        Service service = state.services().get(task.getServiceId());
        if (service == null && !task.getServiceId().isEmpty()) {
            return;
        }
        Task.Builder allocated = task.toBuilder();
        try {
            if (service != null) {
                if (!isAllocated(service, state)) {
                    String failure = serviceFailures.get(service.getId());
                    throw new AllocationException(failure == null ? "the service has no addresses yet" : failure);
                }
                allocated.setEndpoint(service.getEndpoint());
            }
            allocated.clearNetworks().addAllNetworks(attachments(task, service, state));
        } catch (AllocationException e) {
            waitingTasks.add(id);
            if (!task.getStatus().getErr().equals(e.text())) {
                transaction.put(
                        Kind.TASK,
                        task.toBuilder()
                                .setStatus(task.getStatus().toBuilder()
                                        .setTimestamp(Times.timestamp(now))
                                        .setErr(e.text()))
                                .build());
            }
            return;
        }
        allocated.setStatus(TaskStatus.newBuilder()
                .setState(TaskState.PENDING)
                .setTimestamp(Times.timestamp(now))
                .setMessage(ALLOCATED_MESSAGE));
        transaction.put(Kind.TASK, allocated.build());
    }

    private List<NetworkAttachment> attachments(Task task, @Nullable Service service, ClusterState state)
            throws AllocationException {
        String owner = taskOwner(task.getId());
        List<NetworkAttachment> attachments = new ArrayList<>();
        try {
            if (service != null && Lookups.hasMeshPorts(service.getSpec().getEndpoint())) {
                Network ingress = Lookups.ingress(state);
                if (ingress == null) {
                    throw new AllocationException("network ingress does not exist");
                }
                attachments.add(attachment(ingress, NetworkAttachmentConfig.getDefaultInstance(), owner));
            }
            for (NetworkAttachmentConfig config : Lookups.networksOf(task, service)) {
                Network network = Lookups.network(state, config.getTarget());
                if (network == null) {
                    throw new AllocationException("network " + config.getTarget() + " does not exist");
                }
                attachments.add(attachment(network, config, owner));
            }
        } catch (AllocationException e) {
            release(attachments, List.of(), owner);
            throw e;
        }
        return attachments;
    }

    private NetworkAttachment attachment(Network network, NetworkAttachmentConfig config, String owner)
            throws AllocationException {
        requireAllocated(network);
        NetworkAttachment.Builder attachment = NetworkAttachment.newBuilder()
                .setNetwork(network)
                .addAllAliases(config.getAliasesList())
                .putAllDriverAttachmentOpts(config.getDriverAttachmentOptsMap());
        if (NetworkSpace.isOverlay(network)) {
            attachment.addAllAddresses(
                    config.getAddressesCount() == 0
                            ? networks.take(network, owner)
                            : networks.takeWanted(network, config.getAddressesList(), owner));
        }
        return attachment.build();
    }

    private void allocateNode(Transaction transaction, String id) {
        ClusterState state = transaction.state();
        Node node = state.nodes().get(id);
        waitingNodes.remove(id);
        if (node == null) {
            return;
        }
        Map<String, Network> wanted = overlaysOf(node, state);
        Map<String, NetworkAttachment> have = new HashMap<>();
        node.getAttachmentsList()
                .forEach(attachment -> have.put(attachment.getNetwork().getId(), attachment));
        List<NetworkAttachment> attachments = new ArrayList<>();
        for (Network network : wanted.values()) {
            NetworkAttachment existing = have.get(network.getId());
            if (existing != null) {
                attachments.add(existing);
                continue;
            }
            try {
                attachments.add(NetworkAttachment.newBuilder()
                        .setNetwork(network)
                        .addAddresses(networks.takeIpv4(network, nodeOwner(id)))
                        .build());
            } catch (AllocationException e) {
                waitingNodes.add(id);
            }
        }
        if (!attachments.equals(node.getAttachmentsList())) {
            transaction.put(
                    Kind.NODE,
                    node.toBuilder()
                            .clearAttachments()
                            .addAllAttachments(attachments)
                            .build());
        }
    }

    /** Returns the networks a node takes part in, the routing mesh first, each as it is now. */
    private Map<String, Network> overlaysOf(Node node, ClusterState state) {
        Map<String, Network> wanted = new LinkedHashMap<>();
        Network ingress = Lookups.ingress(state);
        if (ingress != null && networks.hasPools(ingress.getId())) {
            wanted.put(ingress.getId(), ingress);
        }
        Map<String, Network> ofTasks = new TreeMap<>();
        for (Task task : state.tasksOfNode(node.getId())) {
            if (TaskStates.isTerminal(task)) {
                continue;
            }
            for (NetworkAttachment attachment : task.getNetworksList()) {
                Network network = state.networks().get(attachment.getNetwork().getId());
                if (network != null && networks.hasPools(network.getId())) {
                    ofTasks.put(network.getId(), network);
                }
            }
        }
        ofTasks.forEach(wanted::putIfAbsent);
        return wanted;
    }

    private void requireAllocated(Network network) throws AllocationException {
        if (!NetworkSpace.isAllocated(network)) {
            String failure = networkFailures.get(network.getId());
            throw new AllocationException(
                    failure == null
                            ? "network " + network.getSpec().getAnnotations().getName() + " has no addresses yet"
                            : failure);
        }
    }

    private void claim(Service service) {
        for (Endpoint.VirtualIP address : service.getEndpoint().getVirtualIpsList()) {
            networks.claim(address.getNetworkId(), address.getAddr(), serviceOwner(service.getId()));
        }
        for (PortConfig port : service.getEndpoint().getPortsList()) {
            if (isMeshPort(port)) {
                ports.claim(port, service.getId());
            }
        }
    }

    private void claim(Task task) {
        if (!TaskStates.isTerminal(task)) {
            claim(task.getNetworksList(), taskOwner(task.getId()));
        }
    }

    private void claim(Node node) {
        claim(node.getAttachmentsList(), nodeOwner(node.getId()));
    }

    private void claim(List<NetworkAttachment> attachments, String owner) {
        for (NetworkAttachment attachment : attachments) {
            for (String address : attachment.getAddressesList()) {
                networks.claim(attachment.getNetwork().getId(), address, owner);
            }
        }
    }

    private boolean release(List<NetworkAttachment> attachments, List<NetworkAttachment> kept, String owner) {
        boolean released = false;
        for (NetworkAttachment attachment : attachments) {
            List<String> addresses = new ArrayList<>(attachment.getAddressesList());
            for (NetworkAttachment other : kept) {
                if (other.getNetwork().getId().equals(attachment.getNetwork().getId())) {
                    addresses.removeAll(other.getAddressesList());
                }
            }
            released |= networks.release(attachment.getNetwork().getId(), addresses, owner);
        }
        return released;
    }

    private static boolean isWaiting(Task task) {
        return task.getStatus().getStateValue() < TaskState.PENDING_VALUE && TaskStates.isWanted(task);
    }

    private static boolean isMeshPort(PortConfig port) {
        return port.getPublishMode() == PortConfig.PublishMode.INGRESS && port.getPublishedPort() != 0;
    }

    private static boolean isSamePort(PortConfig one, PortConfig other) {
        return isMeshPort(one)
                && isMeshPort(other)
                && one.getProtocol() == other.getProtocol()
                && one.getPublishedPort() == other.getPublishedPort();
    }

    private static @Nullable String virtualAddress(Endpoint endpoint, String networkId) {
        for (Endpoint.VirtualIP address : endpoint.getVirtualIpsList()) {
            if (address.getNetworkId().equals(networkId)) {
                return address.getAddr();
            }
        }
        return null;
    }

    private static String serviceOwner(String id) {
        return "service " + id;
    }

    private static String taskOwner(String id) {
        return "task " + id;
    }

    private static String nodeOwner(String id) {
        return "node " + id;
    }
}
