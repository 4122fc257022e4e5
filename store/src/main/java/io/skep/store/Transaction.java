package io.skep.store;

import com.google.protobuf.Message;
import com.google.protobuf.Timestamp;
import io.skep.wire.CommandResult;
import io.skep.wire.LogChange;
import io.skep.wire.LogTransaction;
import io.skep.wire.Meta;
import io.skep.wire.Removal;
import io.skep.wire.RequestOutcome;
import io.skep.wire.Task;
import io.skep.wire.Version;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Changes to a state that become visible to others together.
 *
 * <p>The leader makes one to decide, followers make the same one again from the log: both stamp version and times here,
 * so these are never sent. It reads its own writes through {@link #state()}. Not safe for use by several threads.
 *
 * <p>Loops that decide one after the other write an object several times; the log holds only what came of it, once per
 * object, against the state before. Tasks come last, as they leave out what equals their service as it then is.
 */
public final class Transaction {
    private final Timestamp at;
    private final long version;
    private ClusterState state;
    private final List<Event<?>> events = new ArrayList<>();
    private final List<RequestOutcome> outcomes = new ArrayList<>();
    private int fullAt = Integer.MAX_VALUE;

    /**
     * Begins a transaction.
     *
     * @param base the state to change
     * @param at the time that changed objects are stamped with
     */
    public Transaction(ClusterState base, Instant at) {
        this(
                base,
                Timestamp.newBuilder()
                        .setSeconds(at.getEpochSecond())
                        .setNanos(at.getNano())
                        .build());
    }

    Transaction(ClusterState base, Timestamp at) {
        this.at = at;
        this.state = base;
        this.version = base.version() + 1;
    }

    /** Returns the state with the changes made so far; its version is still that of the base. */
    public ClusterState state() {
        return state;
    }

    /** Returns the version that changed objects carry, and the state after {@link #commit()}. */
    public long version() {
        return version;
    }

    /** Returns what was changed so far, in order. An object that is written twice appears twice. */
    public List<Event<?>> events() {
        return Collections.unmodifiableList(events);
    }

    /** Lets this many more changes in until {@link #isFull()}, a bound that those who change much keep to. */
    public void allow(int changes) {
        fullAt = events.size() + changes;
    }

    /** Returns whether further changes should wait for a later transaction. */
    public boolean isFull() {
        return events.size() >= fullAt;
    }

    public boolean isEmpty() {
        return events.isEmpty() && outcomes.isEmpty();
    }

    /**
     * Writes an object, new or known by its id. Its meta data are set here, whatever it carries.
     *
     * @return the object as it is stored
     */
    public <T extends Message> T put(Kind<T> kind, T object) {
        String id = kind.id(object);
        if (id.isEmpty()) {
            throw new IllegalArgumentException("a " + kind + " needs an id");
        }
        return apply(kind, state.table(kind).get(id), object);
    }

    /** Removes an object; one that is not there is no error. */
    public <T extends Message> void remove(Kind<T> kind, String id) {
        T before = state.table(kind).get(id);
        if (before == null) {
            return;
        }
        state = state.with(kind, id, null);
        events.add(new Event<>(kind, before, null));
    }

    /** Remembers what a request is answered, so that the same request, sent again, has no second effect. */
    public void answer(String requestId, CommandResult result) {
        outcomes.add(RequestOutcome.newBuilder()
                .setRequestId(requestId)
                .setResult(result)
                .build());
        state = state.withOutcome(requestId, result);
    }

    /** Returns a point to which {@link #rollBack} can return. */
    public Savepoint savepoint() {
        return new Savepoint(state, events.size(), outcomes.size());
    }

    /** Forgets all changes made since the savepoint. */
    public void rollBack(Savepoint savepoint) {
        state = savepoint.state;
        events.subList(savepoint.events, events.size()).clear();
        outcomes.subList(savepoint.outcomes, outcomes.size()).clear();
    }

    /** Returns the state after this transaction. */
    public ClusterState commit() {
        return state.withVersion(version);
    }

    /** Returns the changes as followers apply them. */
    public LogTransaction toLog() {
        Map<ObjectKey, Touched<?>> touched = new LinkedHashMap<>();
        for (Event<?> event : events) {
            ObjectKey key = new ObjectKey(event.kind(), event.id());
            touched.computeIfAbsent(key, first -> new Touched<>(event)).removed |= event.after() == null;
        }
        List<LogChange> changes = new ArrayList<>();
        List<LogChange> taskChanges = new ArrayList<>();
        touched.forEach((key, object) -> addChanges(object, key.kind() == Kind.TASK ? taskChanges : changes));
        return LogTransaction.newBuilder()
                .addAllChanges(changes)
                .addAllChanges(taskChanges)
                .addAllOutcomes(outcomes)
                .build();
    }

    private <T extends Message> void addChanges(Touched<T> touched, List<LogChange> changes) {
        Kind<T> kind = touched.first.kind();
        String id = touched.first.id();
        T before = touched.first.before();
        // One that was removed and made again is a new one: it is as old as this transaction.
        if (before != null && touched.removed) {
            changes.add(LogChange.newBuilder()
                    .setRemoval(Removal.newBuilder().setKind(kind.wire()).setId(id))
                    .build());
            before = null;
        }
        T after = state.table(kind).get(id);
        if (after != null) {
            changes.add(encode(kind, before, after));
        }
    }

    /** Makes the changes of a logged transaction again. */
    void replay(LogTransaction logged) {
        for (LogChange change : logged.getChangesList()) {
            switch (change.getKindCase()) {
                case NODE -> put(Kind.NODE, change.getNode());
                case SERVICE -> put(Kind.SERVICE, change.getService());
                case TASK -> put(Kind.TASK, TaskCodec.expand(state, change));
                case TASK_PATCH -> {
                    Task before = state.tasks().get(change.getTaskPatch().getId());
                    if (before == null) {
                        throw new IllegalStateException(
                                "the log changes task " + change.getTaskPatch().getId() + ", which does not exist");
                    }
                    put(Kind.TASK, TaskCodec.patch(before, change.getTaskPatch()));
                }
                case NETWORK -> put(Kind.NETWORK, change.getNetwork());
                case CLUSTER -> put(Kind.CLUSTER, change.getCluster());
                case SECRET -> put(Kind.SECRET, change.getSecret());
                case CONFIG -> put(Kind.CONFIG, change.getConfig());
                case REMOVAL ->
                    remove(
                            Kind.of(change.getRemoval().getKind()),
                            change.getRemoval().getId());
                case KIND_NOT_SET ->
                    throw new IllegalStateException("the log holds a change that this version does not know");
            }
        }
        for (RequestOutcome outcome : logged.getOutcomesList()) {
            answer(outcome.getRequestId(), outcome.getResult());
        }
    }

    private <T extends Message> LogChange encode(Kind<T> kind, @Nullable T before, T object) {
        if (object instanceof Task task) {
            return before instanceof Task known ? TaskCodec.diff(known, task) : TaskCodec.compact(state, task);
        }
        return kind.change(object).build();
    }

    private <T extends Message> T apply(Kind<T> kind, @Nullable T before, T object) {
        Meta meta = Meta.newBuilder()
                .setVersion(Version.newBuilder().setIndex(version))
                .setCreatedAt(before == null ? at : kind.meta(before).getCreatedAt())
                .setUpdatedAt(at)
                .build();
        T stamped = kind.withMeta(object, meta);
        state = state.with(kind, kind.id(object), stamped);
        events.add(new Event<>(kind, before, stamped));
        return stamped;
    }

    private record ObjectKey(Kind<?> kind, String id) {}

    private static final class Touched<T extends Message> {
        final Event<T> first;
        boolean removed;

        Touched(Event<T> first) {
            this.first = first;
        }
    }

    /** A point within a transaction. */
    public static final class Savepoint {
        private final ClusterState state;
        private final int events;
        private final int outcomes;

        private Savepoint(ClusterState state, int events, int outcomes) {
            this.state = state;
            this.events = events;
            this.outcomes = outcomes;
        }
    }
}
