package io.skep.load;

import com.google.protobuf.Timestamp;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.netty.channel.EventLoop;
import io.skep.certs.CertificateRequest;
import io.skep.certs.JoinToken;
import io.skep.certs.NodeCredentials;
import io.skep.certs.TlsIdentity;
import io.skep.certs.TlsMaterial;
import io.skep.wire.AssignmentChange;
import io.skep.wire.AssignmentChange.AssignmentAction;
import io.skep.wire.AssignmentsMessage;
import io.skep.wire.AssignmentsRequest;
import io.skep.wire.ContainerStatus;
import io.skep.wire.DispatcherGrpc;
import io.skep.wire.DispatcherGrpc.DispatcherStub;
import io.skep.wire.HeartbeatRequest;
import io.skep.wire.HeartbeatResponse;
import io.skep.wire.ListenSubscriptionsRequest;
import io.skep.wire.LogBrokerGrpc;
import io.skep.wire.NodeDescription;
import io.skep.wire.NodeTLSInfo;
import io.skep.wire.SessionMessage;
import io.skep.wire.SessionRequest;
import io.skep.wire.Task;
import io.skep.wire.TaskState;
import io.skep.wire.TaskStatus;
import io.skep.wire.UpdateTaskStatusRequest;
import io.skep.wire.UpdateTaskStatusRequest.TaskStatusUpdate;
import io.skep.wire.WeightedPeer;
import java.net.InetSocketAddress;
import java.time.Instant;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One agent that runs nothing: it joins, keeps a session and says of every task what a real engine would say.
 *
 * <p>What it sends is what a stock engine sends (swarm-wire section 3): one connection, on it the session, the
 * assignments and the log subscriptions; a heartbeat at once and then after each period that the manager gives; each
 * change of a task's state at once, one task in a call and one call at a time, where only the newest state of a task
 * waits. So of the five states up to RUNNING a manager hears those that lie apart: ACCEPTED, PREPARING, then STARTING
 * when the container is made, then RUNNING. With more than one status in a call it reports as Skep's own agent does.
 *
 * <p>A session that breaks is built anew on one of the managers that were told last, with the pause of a stock engine.
 * Belongs to the thread of {@link Links#loop}.
 */
final class LoadAgent {
    private static final Logger LOG = LoggerFactory.getLogger(LoadAgent.class);
    private static final long CALL_TIMEOUT_MILLIS = 5000;
    private static final long BACKOFF_BASE_MILLIS = 100;
    private static final long BACKOFF_MAX_MILLIS = 8000;

    private final Links links;
    private final EventLoop loop;
    private final Observations seen;
    private final AgentSettings settings;
    private final NodeDescription description;
    private final RandomGenerator random;
    private final Map<String, HeldTask> tasks = new HashMap<>();
    private final ReportQueue reports = new ReportQueue();

    private List<InetSocketAddress> managers;
    private @Nullable NodeCredentials credentials;
    private @Nullable TlsIdentity identity;
    private @Nullable Session session;
    private String sessionId = "";
    private long backoffMillis;
    private boolean closed;

    private static final class HeldTask {
        final String id;
        final String service;
        final String image;
        TaskState state = TaskState.ASSIGNED;
        TaskState desired;

        @Nullable
        TaskStatus reported;

        boolean counted;
        boolean working;
        boolean removed;

        HeldTask(Task task) {
            this.id = task.getId();
            this.service = task.getServiceAnnotations().getName();
            this.image = task.getSpec().getContainer().getImage();
            this.desired = task.getDesiredState();
        }
    }

    LoadAgent(
            Links links,
            Observations seen,
            AgentSettings settings,
            InetSocketAddress manager,
            NodeDescription description,
            RandomGenerator random) {
        this.links = links;
        this.loop = links.loop();
        this.seen = seen;
        this.settings = settings;
        this.managers = List.of(manager);
        this.description = description;
        this.random = random;
    }

    /** Gets a certificate and opens the first session; completes when the manager has told it what to run. */
    CompletableFuture<Void> join(JoinToken token, CertificateRequest request) {
        return Joining.start(links, managers.getFirst(), token, request, random).thenCompose(accepted -> {
            credentials = accepted;
            identity = new TlsIdentity(TlsMaterial.of(accepted), links.clock());
            return openSession().ready;
        });
    }

    /** Ends the session without a word, as an engine does that is switched off. */
    void close() {
        closed = true;
        if (session != null) {
            session.end();
        }
    }

    private Session openSession() {
        if (credentials == null || identity == null) {
            throw new IllegalStateException("an agent opens its session after it has joined");
        }
        InetSocketAddress manager = managers.get(random.nextInt(managers.size()));
        Session next = new Session(links.authenticated(manager, identity));
        session = next;
        next.begin(description.toBuilder()
                .setTlsInfo(NodeTLSInfo.newBuilder()
                        .setTrustRoot(credentials.root().pem())
                        .setCertIssuerSubject(credentials.issuerSubject())
                        .setCertIssuerPublicKey(credentials.issuerPublicKey()))
                .build());
        return next;
    }

    private void apply(AssignmentsMessage message) {
        Set<String> listed = new HashSet<>();
        for (AssignmentChange change : message.getChangesList()) {
            if (!change.getAssignment().hasTask()) {
                continue;
            }
            Task task = change.getAssignment().getTask();
            if (change.getAction() == AssignmentAction.REMOVE) {
                remove(task.getId());
            } else {
                listed.add(task.getId());
                update(task);
            }
        }
        if (message.getType() == AssignmentsMessage.Type.COMPLETE) {
            for (String id : List.copyOf(tasks.keySet())) {
                if (!listed.contains(id)) {
                    remove(id);
                }
            }
        }
    }

    private void update(Task told) {
        HeldTask task = tasks.get(told.getId());
        if (task == null) {
            task = new HeldTask(told);
            if (told.getStatus().getState().getNumber() > TaskState.ASSIGNED_VALUE) {
                task.state = told.getStatus().getState();
            }
            tasks.put(task.id, task);
            seen.assigned(task.service, System.nanoTime());
        } else if (told.getDesiredState().getNumber() > task.desired.getNumber()) {
            task.desired = told.getDesiredState();
        }
        advance(task);
    }

    private void remove(String id) {
        HeldTask task = tasks.remove(id);
        if (task != null) {
            task.removed = true;
            reports.forget(id);
            uncount(task);
            seen.removed();
        }
    }

    /** Takes the steps that need no time, up to one that does. */
    private void advance(HeldTask task) {
        while (!task.working && !task.removed) {
            TaskLife.Step step = TaskLife.next(task.state, task.desired);
            if (TaskLife.isNothing(step)) {
                return;
            }
            long workMillis = settings.workMillis(step.work(), random);
            if (workMillis == 0) {
                reach(task, step);
            } else {
                task.working = true;
                var _ = loop.schedule(
                        () -> {
                            task.working = false;
                            // What is wished may have changed meanwhile: a stop ends the work, nothing else does.
                            if (!task.removed
                                    && TaskLife.next(task.state, task.desired).equals(step)) {
                                reach(task, step);
                            }
                            advance(task);
                        },
                        workMillis,
                        TimeUnit.MILLISECONDS);
            }
        }
    }

    private void reach(HeldTask task, TaskLife.Step step) {
        task.state = step.next();
        if (task.state.getNumber() > TaskState.RUNNING_VALUE) {
            uncount(task);
        }
        Instant now = links.clock().instant();
        TaskStatus.Builder status = TaskStatus.newBuilder()
                .setTimestamp(
                        Timestamp.newBuilder().setSeconds(now.getEpochSecond()).setNanos(now.getNano()))
                .setState(task.state)
                .setMessage(step.message());
        if (task.state.getNumber() >= TaskState.STARTING_VALUE) {
            // An engine's container id: 64 hexadecimal digits.
            status.setContainer(ContainerStatus.newBuilder()
                    .setContainerId(containerId(task.id))
                    .setPid(task.state == TaskState.RUNNING ? 1000 + Math.floorMod(task.id.hashCode(), 30_000) : 0));
        }
        TaskStatus reached = status.build();
        task.reported = reached;
        reports.offer(task.id, reached);
        report();
    }

    private static String containerId(String taskId) {
        StringBuilder digits = new StringBuilder(64);
        long bits = taskId.hashCode();
        while (digits.length() < 64) {
            bits = bits * 6364136223846793005L + 1442695040888963407L;
            digits.append(Long.toHexString(bits));
        }
        digits.setLength(64);
        return digits.toString();
    }

    private void report() {
        if (session != null) {
            session.report();
        }
    }

    private void taken(List<TaskStatusUpdate> updates) {
        seen.reported(updates.size());
        long now = System.nanoTime();
        for (TaskStatusUpdate update : updates) {
            HeldTask task = tasks.get(update.getTaskId());
            if (task != null
                    && !task.counted
                    && task.state == TaskState.RUNNING
                    && update.getStatus().getState() == TaskState.RUNNING) {
                task.counted = true;
                seen.runs(task.service, task.image, now);
            }
        }
    }

    private void uncount(HeldTask task) {
        if (task.counted) {
            task.counted = false;
            seen.stopped(task.image);
        }
    }

    private void lost(Session ended, Status status) {
        if (session != ended) {
            return;
        }
        session = null;
        if (closed) {
            return;
        }
        LOG.debug("session ended: {} {}", status.getCode(), status.getDescription());
        seen.sessionLost();
        backoffMillis = Math.min(BACKOFF_BASE_MILLIS + 2 * backoffMillis, BACKOFF_MAX_MILLIS);
        var _ = loop.schedule(
                () -> {
                    if (!closed) {
                        var _ = openSession();
                    }
                },
                random.nextLong(backoffMillis),
                TimeUnit.MILLISECONDS);
    }

    /** One session, up to the end of any of its streams or the failure of any call. */
    private final class Session {
        private final ManagedChannel channel;
        private final DispatcherStub dispatcher;
        private final CompletableFuture<Void> ready = new CompletableFuture<>();
        private boolean registered;
        private boolean told;
        private boolean reporting;
        private boolean over;

        Session(ManagedChannel channel) {
            this.channel = channel;
            this.dispatcher = DispatcherGrpc.newStub(channel);
        }

        void begin(NodeDescription described) {
            dispatcher.session(
                    SessionRequest.newBuilder()
                            .setDescription(described)
                            .setSessionId(sessionId)
                            .build(),
                    new Answer<SessionMessage>(loop, this::message, this::fail));
        }

        private void message(SessionMessage message) {
            if (over) {
                return;
            }
            managers(message.getManagersList());
            if (registered) {
                return;
            }
            registered = true;
            sessionId = message.getSessionId();
            backoffMillis = 0;
            dispatcher.assignments(
                    AssignmentsRequest.newBuilder().setSessionId(sessionId).build(),
                    new Answer<AssignmentsMessage>(loop, this::assignments, this::fail));
            LogBrokerGrpc.newStub(channel)
                    .listenSubscriptions(
                            ListenSubscriptionsRequest.getDefaultInstance(),
                            new Answer<>(loop, subscription -> {}, this::fail));
            beat();
            for (HeldTask task : tasks.values()) {
                if (task.reported != null) {
                    reports.offer(task.id, task.reported);
                }
            }
            report();
        }

        private void managers(List<WeightedPeer> peers) {
            try {
                List<InetSocketAddress> found = peers.stream()
                        .map(peer -> peer.getPeer().getAddr())
                        .filter(address -> !address.isEmpty())
                        .map(Endpoint::parse)
                        .toList();
                if (!found.isEmpty()) {
                    managers = found;
                }
            } catch (IllegalArgumentException e) {
                LOG.warn("a manager told an address that is none: {}", e.getMessage());
            }
        }

        private void assignments(AssignmentsMessage message) {
            if (over) {
                return;
            }
            apply(message);
            if (!told) {
                told = true;
                seen.agentReady(true);
                ready.complete(null);
            }
        }

        private void beat() {
            if (over) {
                return;
            }
            dispatcher
                    .withDeadlineAfter(CALL_TIMEOUT_MILLIS, TimeUnit.MILLISECONDS)
                    .heartbeat(
                            HeartbeatRequest.newBuilder()
                                    .setSessionId(sessionId)
                                    .build(),
                            Answer.<HeartbeatResponse>once(
                                    loop,
                                    response -> {
                                        var period = response.getPeriod();
                                        long nanos = period.getSeconds() * 1_000_000_000L + period.getNanos();
                                        var _ = loop.schedule(
                                                this::beat, Math.max(nanos, 100_000_000L), TimeUnit.NANOSECONDS);
                                    },
                                    this::fail));
        }

        void report() {
            if (reporting || over || !registered || reports.isEmpty()) {
                return;
            }
            reporting = true;
            List<TaskStatusUpdate> updates = reports.take(settings.statusesPerCall());
            dispatcher.updateTaskStatus(
                    UpdateTaskStatusRequest.newBuilder()
                            .setSessionId(sessionId)
                            .addAllUpdates(updates)
                            .build(),
                    Answer.once(
                            loop,
                            response -> {
                                reporting = false;
                                taken(updates);
                                report();
                            },
                            status -> {
                                reporting = false;
                                if (status.getCode() == Status.Code.NOT_FOUND) {
                                    report();
                                } else {
                                    reports.putBack(updates);
                                    fail(status);
                                }
                            }));
        }

        private void fail(Status status) {
            if (over) {
                return;
            }
            end();
            if (!ready.isDone()) {
                LOG.info("the first session of an agent failed: {}", status);
            }
            lost(this, status);
        }

        void end() {
            if (over) {
                return;
            }
            over = true;
            if (told) {
                seen.agentReady(false);
            }
            channel.shutdownNow();
        }
    }
}
