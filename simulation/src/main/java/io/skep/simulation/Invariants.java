package io.skep.simulation;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import io.skep.store.ClusterState;
import io.skep.store.Commit;
import io.skep.store.Event;
import io.skep.store.Kind;
import io.skep.wire.AssignmentChange;
import io.skep.wire.AssignmentsMessage;
import io.skep.wire.CommandResult;
import io.skep.wire.ConfigReference;
import io.skep.wire.Endpoint;
import io.skep.wire.LogEntry;
import io.skep.wire.LogTransaction;
import io.skep.wire.Network;
import io.skep.wire.NetworkAttachment;
import io.skep.wire.Node;
import io.skep.wire.NodeSpec.Availability;
import io.skep.wire.NodeStatus;
import io.skep.wire.PortConfig;
import io.skep.wire.RequestOutcome;
import io.skep.wire.ResourceReference;
import io.skep.wire.SecretReference;
import io.skep.wire.Service;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.UpdateConfig.UpdateOrder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What must hold after every step of a run.
 *
 * <p>The first manager that applies an entry defines what the cluster's history is; all rules about the state are
 * checked then, on what changed. Every other manager must come to the same. Beside the state there is what truly
 * happens on the nodes, and what callers were told.
 */
final class Invariants {
    private static final String HISTORY = "one history";
    private static final String ACKNOWLEDGED = "acknowledged is done, once";
    private static final String ORDER = "reads see all writes before them";
    private static final String BACKWARD = "task states never go back";
    private static final String SLOTS = "tasks of a slot";
    private static final String PLACEMENT = "placement";
    private static final String OWNERS = "one owner";
    private static final String SECRETS = "secrets where needed";

    private static final String ENFORCED = "task rejected by constraint enforcer";
    private static final int PATIENCE_SECONDS = 59;

    private record Running(Task task, String nodeId) {}

    private record Slot(String serviceId, long slot, String nodeId) {}

    private final Verdict verdict;
    private final Trace trace;
    private final VirtualTime time;

    private long lastIndex;
    private final Map<Long, Long> digests = new HashMap<>();
    private final Map<Long, ClusterState> states = new HashMap<>();
    private ClusterState state = ClusterState.empty();

    /** For each request that is part of the history: the version that holds its effect, and the answer. */
    private final Map<String, Answered> answered = new HashMap<>();

    private long versionSeen;

    private final Map<String, String> owners = new HashMap<>();
    private final Set<String> outOfSight = new HashSet<>();
    private final Set<String> removedTasks = new HashSet<>();
    private final Map<String, UpdateOrder> orders = new HashMap<>();
    private final Set<String> globalServices = new HashSet<>();
    private final Map<String, Running> running = new LinkedHashMap<>();
    private int commits;

    private record Answered(long version, CommandResult result) {}

    Invariants(Verdict verdict, Trace trace, VirtualTime time) {
        this.verdict = verdict;
        this.trace = trace;
        this.time = time;
    }

    /** Returns the newest state that any manager reached. */
    ClusterState state() {
        return state;
    }

    int commits() {
        return commits;
    }

    // History

    void committed(String manager, long index, ByteString entry, Commit commit) {
        long digest = digest(commit);
        Long known = digests.get(index);
        if (known != null) {
            if (known != digest) {
                throw verdict.broken(
                        HISTORY, manager + " made something else of entry " + index + " than another manager did");
            }
            return;
        }
        if (index <= lastIndex) {
            throw verdict.broken(HISTORY, manager + " applied entry " + index + " after others had passed it");
        }
        lastIndex = index;
        digests.put(index, digest);
        if (commit.before().version() != state.version()) {
            throw verdict.broken(
                    HISTORY,
                    manager + " applied entry " + index + " to version "
                            + commit.before().version() + ", but the newest is " + state.version());
        }
        commits++;
        time.note(entry.hashCode());
        state = commit.after();
        states.put(state.version(), state);
        takeAnswers(entry);
        checkEvents(commit);
        if (trace.isOn()) {
            trace.say(
                    "commit",
                    manager,
                    () -> "entry " + index + " version " + commit.after().version() + ": " + describe(commit));
        }
    }

    /** A manager took over a whole state. */
    void restored(String manager, ClusterState restored) {
        ClusterState known = states.get(restored.version());
        if (known == null && restored.version() > 0) {
            throw verdict.broken(
                    HISTORY, manager + " restored version " + restored.version() + ", which there never was");
        }
        if (known != null) {
            requireSame(manager, restored, known);
        }
    }

    /** Fails unless a manager's state is the one that the history has under its version. */
    void requireInHistory(String manager, ClusterState found) {
        ClusterState known = found.version() == 0 ? ClusterState.empty() : states.get(found.version());
        if (known == null) {
            throw verdict.broken(HISTORY, manager + " is at version " + found.version() + ", which there never was");
        }
        requireSame(manager, found, known);
    }

    private void requireSame(String manager, ClusterState found, ClusterState expected) {
        for (Kind<?> kind : Kind.ALL) {
            requireSame(manager, found, expected, kind);
        }
    }

    private <T extends Message> void requireSame(
            String manager, ClusterState found, ClusterState expected, Kind<T> kind) {
        boolean same = found.table(kind).size() == expected.table(kind).size();
        for (T object : expected.table(kind).values()) {
            same &= object.equals(found.table(kind).get(kind.id(object)));
        }
        if (!same) {
            throw verdict.broken(
                    HISTORY,
                    manager + " has other objects of kind " + kind + " under version " + found.version()
                            + " than another manager had");
        }
    }

    /**
     * Says what a step made of the state. The leader hears of each change within the step, others only of what came of
     * them: so the order and the number of events do not count.
     */
    private static long digest(Commit commit) {
        long digest = commit.after().version();
        Set<String> seen = new HashSet<>();
        for (Event<?> event : commit.events()) {
            if (seen.add(event.kind() + event.id())) {
                digest += digest(commit, event);
            }
        }
        return digest;
    }

    private static <T extends Message> long digest(Commit commit, Event<T> event) {
        T before = commit.before().table(event.kind()).get(event.id());
        T after = commit.after().table(event.kind()).get(event.id());
        if (after == null) {
            return before == null ? 0 : event.id().hashCode();
        }
        return 31L * after.hashCode() * event.id().hashCode();
    }

    private void takeAnswers(ByteString entry) {
        LogEntry logged;
        try {
            logged = LogEntry.parseFrom(entry);
        } catch (InvalidProtocolBufferException e) {
            throw new IllegalStateException(e);
        }
        for (LogTransaction transaction : logged.getTransactionsList()) {
            for (RequestOutcome outcome : transaction.getOutcomesList()) {
                Answered before =
                        answered.put(outcome.getRequestId(), new Answered(state.version(), outcome.getResult()));
                if (before != null) {
                    throw verdict.broken(
                            ACKNOWLEDGED,
                            "request " + outcome.getRequestId() + " was carried out in version " + before.version()
                                    + " and again in version " + state.version());
                }
            }
        }
    }

    // Callers

    /** Returns what a read that begins now must see. */
    long versionSeen() {
        return versionSeen;
    }

    /** A caller was told that its command is done. */
    void acknowledged(String manager, String requestId, boolean remembered, long version, long localVersion) {
        Answered known = answered.get(requestId);
        if (remembered && known == null) {
            throw verdict.broken(
                    ACKNOWLEDGED,
                    manager + " acknowledged request " + requestId + " of version " + version
                            + ", which is not committed");
        }
        if (known != null && known.version() > version) {
            throw verdict.broken(
                    ACKNOWLEDGED,
                    manager + " said version " + version + " holds request " + requestId + ", but it is "
                            + known.version());
        }
        if (localVersion < version) {
            throw verdict.broken(
                    ORDER, manager + " acknowledged version " + version + " while it is at " + localVersion);
        }
        versionSeen = Math.max(versionSeen, version);
    }

    /** Returns whether a request is part of the history. */
    boolean isCarriedOut(String requestId) {
        return answered.containsKey(requestId);
    }

    /** A caller was told that its command is refused. */
    void refused(String manager, String requestId) {
        Answered known = answered.get(requestId);
        if (known != null) {
            throw verdict.broken(
                    ACKNOWLEDGED,
                    manager + " refused request " + requestId + ", which was carried out in version "
                            + known.version());
        }
    }

    /** A read ended. */
    void read(String manager, long mustSee, long version) {
        if (version < mustSee) {
            throw verdict.broken(
                    ORDER, manager + " read version " + version + " after version " + mustSee + " had been seen");
        }
        versionSeen = Math.max(versionSeen, version);
    }

    // State

    private void checkEvents(Commit commit) {
        Set<String> services = new LinkedHashSet<>();
        Set<String> nodes = new LinkedHashSet<>();
        List<Event<?>> events = commit.events();
        for (Event<?> event : events) {
            Event<Task> task = event.as(Kind.TASK);
            if (task != null) {
                checkTask(task);
                release(task.before());
                services.add(task.object().getServiceId());
                nodes.add(task.object().getNodeId());
            }
            Event<Service> service = event.as(Kind.SERVICE);
            if (service != null) {
                release(service.before());
                services.add(service.id());
                noteService(service.object());
            }
            Event<Node> node = event.as(Kind.NODE);
            if (node != null) {
                release(node.before());
                nodes.add(node.id());
                noteNode(commit, node);
            }
        }
        for (Event<?> event : events) {
            claim(event);
        }
        for (Event<?> event : events) {
            Event<Task> task = event.as(Kind.TASK);
            if (task != null
                    && task.after() != null
                    && isPlaced(task.before(), task.after())
                    && task.after().equals(state.tasks().get(task.id()))) {
                checkPlacement(task.after());
            }
        }
        services.forEach(this::checkSlots);
        nodes.forEach(this::checkNode);
    }

    private void checkTask(Event<Task> event) {
        Task before = event.before();
        Task after = event.after();
        if (before == null) {
            if (removedTasks.contains(event.id())) {
                throw verdict.broken(BACKWARD, "task " + event.id() + " was removed, and is there again");
            }
            return;
        }
        if (after == null) {
            removedTasks.add(event.id());
            return;
        }
        if (after.getStatus().getStateValue() < before.getStatus().getStateValue()) {
            throw verdict.broken(
                    BACKWARD,
                    "task " + event.id() + " was " + before.getStatus().getState() + " and is "
                            + after.getStatus().getState());
        }
        if (after.getDesiredStateValue() < before.getDesiredStateValue()) {
            throw verdict.broken(
                    BACKWARD,
                    "task " + event.id() + " was wanted " + before.getDesiredState() + " and is wanted "
                            + after.getDesiredState());
        }
        if (before.getDesiredState() == TaskState.READY && isWanted(after) && isPatienceOver(after)) {
            // A replacement waits a minute at most for those before it to stop, as the clock of the leader has it.
            for (Task other : state.tasksOfService(after.getServiceId())) {
                if (!isWanted(other) && slotOf(other).equals(slotOf(after))) {
                    outOfSight.add(other.getId());
                }
            }
        }
        boolean decided = after.getStatus().getState() == TaskState.ORPHANED
                || after.getStatus().getMessage().equals(ENFORCED);
        if (decided && after.getStatus().getStateValue() != before.getStatus().getStateValue()) {
            // The leader gave it up, as Docker does, and replaces it without waiting for its node.
            outOfSight.add(after.getId());
        }
        boolean moved = !before.getNodeId().isEmpty() && !before.getNodeId().equals(after.getNodeId());
        if (moved
                || before.getSlot() != after.getSlot()
                || !before.getServiceId().equals(after.getServiceId())) {
            throw verdict.broken(BACKWARD, "task " + event.id() + " changed its place");
        }
    }

    private static boolean isPatienceOver(Task task) {
        return task.getMeta().getUpdatedAt().getSeconds()
                        - task.getMeta().getCreatedAt().getSeconds()
                >= PATIENCE_SECONDS;
    }

    private void noteService(Service service) {
        orders.put(service.getId(), service.getSpec().getUpdate().getOrder());
        if (service.getSpec().hasGlobal() || service.getSpec().hasGlobalJob()) {
            globalServices.add(service.getId());
        }
    }

    private void noteNode(Commit commit, Event<Node> event) {
        Node after = event.after();
        if (after == null || after.getStatus().getState() == NodeStatus.State.DOWN) {
            commit.before().tasksOfNode(event.id()).forEach(task -> outOfSight.add(task.getId()));
            commit.after().tasksOfNode(event.id()).forEach(task -> outOfSight.add(task.getId()));
        }
    }

    private static boolean holdsNetwork(Task task) {
        return task.getStatus().getStateValue() <= TaskState.RUNNING_VALUE;
    }

    private static boolean holdsRoom(Task task) {
        int current = task.getStatus().getStateValue();
        return current >= TaskState.ASSIGNED_VALUE && current <= TaskState.RUNNING_VALUE;
    }

    private static boolean isWanted(Task task) {
        return task.getDesiredStateValue() <= TaskState.COMPLETE_VALUE;
    }

    private void release(@Nullable Message object) {
        if (object != null) {
            for (String each : held(object)) {
                owners.remove(each, nameOf(object));
            }
        }
    }

    private void claim(Event<?> event) {
        Message object = event.after();
        if (object == null) {
            return;
        }
        // Within a transaction an object may change several times: only what came of it counts.
        Message last = lastOf(event);
        if (last == null) {
            return;
        }
        String name = nameOf(last);
        for (String each : held(last)) {
            String owner = owners.putIfAbsent(each, name);
            if (owner != null && !owner.equals(name)) {
                throw verdict.broken(OWNERS, each + " belongs to " + owner + " and to " + name);
            }
        }
    }

    private <T extends Message> @Nullable Message lastOf(Event<T> event) {
        return state.table(event.kind()).get(event.id());
    }

    private static String nameOf(Message object) {
        return switch (object) {
            case Task task -> "task " + task.getId();
            case Service service -> "service " + service.getId();
            case Node node -> "node " + node.getId();
            default -> "";
        };
    }

    private List<String> held(Message object) {
        List<String> all = new ArrayList<>();
        switch (object) {
            case Task task -> {
                if (holdsNetwork(task)) {
                    task.getNetworksList().forEach(attachment -> addresses(attachment, isWanted(task), all));
                }
            }
            case Service service -> {
                for (Endpoint.VirtualIP address : service.getEndpoint().getVirtualIpsList()) {
                    if (!address.getAddr().isEmpty()) {
                        all.add("address " + bare(address.getAddr()) + " of network " + address.getNetworkId());
                    }
                }
                for (PortConfig port : service.getEndpoint().getPortsList()) {
                    if (port.getPublishMode() == PortConfig.PublishMode.INGRESS && port.getPublishedPort() != 0) {
                        all.add("port " + port.getPublishedPort() + "/" + port.getProtocol());
                    }
                }
            }
            case Node node -> node.getAttachmentsList().forEach(attachment -> addresses(attachment, true, all));
            default -> {}
        }
        return all;
    }

    private void addresses(NetworkAttachment attachment, boolean wanted, List<String> all) {
        Network network = attachment.getNetwork();
        // What is about to stop holds no network back from being removed.
        if (!wanted && state.networks().get(network.getId()) == null) {
            return;
        }
        for (String address : attachment.getAddressesList()) {
            if (!address.isEmpty()) {
                all.add("address " + bare(address) + " of network " + network.getId());
            }
        }
    }

    private static String bare(String address) {
        int slash = address.indexOf('/');
        return slash < 0 ? address : address.substring(0, slash);
    }

    private static boolean isPlaced(@Nullable Task before, Task after) {
        return after.getStatus().getStateValue() == TaskState.ASSIGNED_VALUE
                && (before == null || before.getStatus().getStateValue() < TaskState.ASSIGNED_VALUE);
    }

    private void checkPlacement(Task task) {
        Node node = state.nodes().get(task.getNodeId());
        if (node == null) {
            throw verdict.broken(
                    PLACEMENT, "task " + task.getId() + " was placed on " + task.getNodeId() + ", which there is not");
        }
        if (node.getStatus().getState() != NodeStatus.State.READY
                || node.getSpec().getAvailability() != Availability.ACTIVE) {
            throw verdict.broken(
                    PLACEMENT,
                    "task " + task.getId() + " was placed on " + node.getId() + ", which is "
                            + node.getStatus().getState() + " and "
                            + node.getSpec().getAvailability());
        }
        for (String constraint : task.getSpec().getPlacement().getConstraintsList()) {
            if (!Operators.matches(constraint, node)) {
                throw verdict.broken(
                        PLACEMENT,
                        "task " + task.getId() + " was placed on " + node.getId() + " against " + constraint);
            }
        }
        var platforms = task.getSpec().getPlacement().getPlatformsList();
        var platform = node.getDescription().getPlatform();
        if (!platforms.isEmpty()
                && platforms.stream()
                        .noneMatch(wanted -> wanted.getOs().equals(platform.getOs())
                                && wanted.getArchitecture().equals(platform.getArchitecture()))) {
            throw verdict.broken(
                    PLACEMENT, "task " + task.getId() + " was placed on " + node.getId() + ", another platform");
        }
    }

    private Slot slotOf(Task task) {
        return globalServices.contains(task.getServiceId())
                ? new Slot(task.getServiceId(), 0, task.getNodeId())
                : new Slot(task.getServiceId(), task.getSlot(), "");
    }

    private int atOnce(String serviceId) {
        return orders.get(serviceId) == UpdateOrder.START_FIRST ? 2 : 1;
    }

    /** Where the new one starts first, nobody waits for those that are to go. */
    private boolean counts(Task task) {
        return isWanted(task) || orders.get(task.getServiceId()) != UpdateOrder.START_FIRST;
    }

    private void checkSlots(String serviceId) {
        if (state.services().get(serviceId) == null) {
            return;
        }
        Map<Slot, Integer> wanted = new HashMap<>();
        Map<Slot, Integer> active = new HashMap<>();
        for (Task task : state.tasksOfService(serviceId)) {
            if (outOfSight.contains(task.getId()) || task.getStatus().getStateValue() > TaskState.RUNNING_VALUE) {
                continue;
            }
            if (task.getDesiredStateValue() <= TaskState.RUNNING_VALUE) {
                wanted.merge(slotOf(task), 1, Integer::sum);
            }
            if (task.getStatus().getStateValue() >= TaskState.STARTING_VALUE && counts(task)) {
                active.merge(slotOf(task), 1, Integer::sum);
            }
        }
        int limit = atOnce(serviceId);
        wanted.forEach((slot, count) -> {
            if (count > limit) {
                throw verdict.broken(SLOTS, count + " tasks are wanted in " + slot);
            }
        });
        active.forEach((slot, count) -> {
            if (count > limit) {
                throw verdict.broken(SLOTS, count + " tasks run in " + slot);
            }
        });
    }

    private void checkNode(String nodeId) {
        Node node = state.nodes().get(nodeId);
        if (node == null) {
            return;
        }
        Set<String> ports = new HashSet<>();
        Map<String, Integer> active = new HashMap<>();
        long nanoCpus = 0;
        for (Task task : state.tasksOfNode(nodeId)) {
            if (!holdsRoom(task)) {
                continue;
            }
            for (PortConfig port : task.getEndpoint().getPortsList()) {
                if (port.getPublishMode() == PortConfig.PublishMode.HOST
                        && port.getPublishedPort() != 0
                        && !ports.add(port.getPublishedPort() + "/" + port.getProtocol())) {
                    throw verdict.broken(
                            OWNERS, "port " + port.getPublishedPort() + " of " + nodeId + " belongs to two tasks");
                }
            }
            nanoCpus += task.getSpec().getResources().getReservations().getNanoCpus();
            if (isWanted(task)) {
                long limit = task.getSpec().getPlacement().getMaxReplicas();
                int count = active.merge(task.getServiceId(), 1, Integer::sum);
                if (limit > 0 && count > limit && state.services().get(task.getServiceId()) != null) {
                    throw verdict.broken(PLACEMENT, count + " tasks of " + task.getServiceId() + " are on " + nodeId);
                }
            }
        }
        if (nanoCpus > node.getDescription().getResources().getNanoCpus()) {
            throw verdict.broken(PLACEMENT, nodeId + " has no room for what is placed there");
        }
    }

    // Nodes

    /** A manager tells a node what to run. */
    void told(String manager, ClusterState known, String nodeId, AssignmentsMessage message) {
        for (AssignmentChange change : message.getChangesList()) {
            if (change.getAction() != AssignmentChange.AssignmentAction.UPDATE) {
                continue;
            }
            if (change.getAssignment().hasTask()
                    && !change.getAssignment().getTask().getNodeId().equals(nodeId)) {
                throw verdict.broken(
                        SECRETS,
                        manager + " told " + nodeId + " about a task of "
                                + change.getAssignment().getTask().getNodeId());
            }
            if (change.getAssignment().hasSecret()) {
                requireUse(
                        manager,
                        known,
                        nodeId,
                        change.getAssignment().getSecret().getId());
            }
            if (change.getAssignment().hasConfig()) {
                requireUse(
                        manager,
                        known,
                        nodeId,
                        change.getAssignment().getConfig().getId());
            }
        }
    }

    private void requireUse(String manager, ClusterState known, String nodeId, String dependency) {
        for (Task task : known.tasksOfNode(nodeId)) {
            if (task.getStatus().getStateValue() <= TaskState.RUNNING_VALUE && uses(task, dependency)) {
                return;
            }
        }
        throw verdict.broken(SECRETS, manager + " sent " + dependency + " to " + nodeId + ", where no task uses it");
    }

    /** Returns whether the leader has given a task up, so that its node may do with it what it will. */
    boolean isOutOfSight(String taskId) {
        return outOfSight.contains(taskId);
    }

    /** Returns the secrets and configs that a task uses, but for those that were removed since. */
    Set<String> needed(Task task) {
        Set<String> found = used(task);
        found.removeIf(id -> state.secrets().get(id) == null && state.configs().get(id) == null);
        return found;
    }

    /** Returns the secrets and configs that a task uses. */
    static Set<String> used(Task task) {
        Set<String> found = new LinkedHashSet<>();
        task.getSpec().getContainer().getSecretsList().forEach(each -> found.add(each.getSecretId()));
        task.getSpec().getContainer().getConfigsList().forEach(each -> found.add(each.getConfigId()));
        return found;
    }

    static boolean uses(Task task, String dependency) {
        for (SecretReference each : task.getSpec().getContainer().getSecretsList()) {
            if (each.getSecretId().equals(dependency)) {
                return true;
            }
        }
        for (ConfigReference each : task.getSpec().getContainer().getConfigsList()) {
            if (each.getConfigId().equals(dependency)) {
                return true;
            }
        }
        for (ResourceReference each : task.getSpec().getResourceReferencesList()) {
            if (each.getResourceId().equals(dependency)) {
                return true;
            }
        }
        return false;
    }

    /** A container truly starts. */
    void starts(String nodeId, Task task) {
        trace.say("starts", nodeId, () -> describe(task));
        running.put(task.getId(), new Running(task, nodeId));
        if (state.services().get(task.getServiceId()) == null || outOfSight.contains(task.getId())) {
            return;
        }
        Slot slot = slotOf(task);
        int count = 0;
        for (Running each : running.values()) {
            Task known = state.tasks().get(each.task().getId());
            if (known != null
                    && !outOfSight.contains(known.getId())
                    && slotOf(known).equals(slot)
                    && counts(known)) {
                count++;
            }
        }
        if (count > atOnce(task.getServiceId())) {
            throw verdict.broken(SLOTS, count + " containers truly run in " + slot);
        }
    }

    /**
     * A task cannot start for want of a secret or config. As in Docker, one may be removed as soon as no service names
     * it, whatever tasks of an older version of the service are about to do.
     */
    void misses(String nodeId, Task task, String dependency) {
        if (needed(task).contains(dependency)) {
            throw verdict.broken(
                    SECRETS, nodeId + " has not been given " + dependency + ", which " + task.getId() + " needs");
        }
    }

    void ends(String nodeId, String taskId) {
        running.remove(taskId);
        trace.say("ends", nodeId, () -> "task " + shortened(taskId));
    }

    /** Returns the ids of the tasks whose containers truly run on a node. */
    Set<String> running(String nodeId) {
        Set<String> found = new HashSet<>();
        for (Running each : running.values()) {
            if (each.nodeId().equals(nodeId)) {
                found.add(each.task().getId());
            }
        }
        return found;
    }

    // Text

    private static String shortened(String id) {
        return id.length() > 8 ? id.substring(id.length() - 6) : id;
    }

    private static String describe(Task task) {
        return "task " + shortened(task.getId()) + " of "
                + task.getServiceAnnotations().getName() + "." + task.getSlot()
                + (task.getNodeId().isEmpty() ? "" : " on " + task.getNodeId()) + " "
                + task.getStatus().getState() + " wanted " + task.getDesiredState();
    }

    private static String describe(Commit commit) {
        StringBuilder text = new StringBuilder();
        int shown = 0;
        for (Event<?> event : commit.events()) {
            if (shown++ == 12) {
                return text + "… (" + commit.events().size() + " changes)";
            }
            text.append(shown == 1 ? "" : "; ");
            Message object = event.object();
            String what = switch (object) {
                case Task task -> describe(task);
                case Service service ->
                    "service " + service.getSpec().getAnnotations().getName() + " "
                            + service.getUpdateStatus().getState();
                case Node node ->
                    "node " + node.getId() + " " + node.getStatus().getState() + " "
                            + node.getSpec().getAvailability() + " " + node.getRole()
                            + (node.getRole() == node.getSpec().getDesiredRole()
                                    ? ""
                                    : " to be " + node.getSpec().getDesiredRole());
                default -> event.kind() + " " + shortened(event.id());
            };
            text.append(event.before() == null ? "+ " : event.after() == null ? "- " : "")
                    .append(what);
        }
        return text.length() == 0 ? "answers only" : text.toString();
    }
}
