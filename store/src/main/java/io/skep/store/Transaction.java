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
import io.skep.wire.TaskChange;
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
    private final ClusterState base;
    /** The meta data of an object that is made here, shared by all. */
    private final Meta madeNow;

    private ClusterState state;
    private final List<Event<?>> events = new ArrayList<>();
    private final List<RequestOutcome> outcomes = new ArrayList<>();
    private int fullAt = Integer.MAX_VALUE;
    /** This and the next are made when they are asked for, and forgotten when something changes again. */
    private @Nullable Outcome outcome;

    private @Nullable ClusterState committed;

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
        this.base = base;
        this.state = base;
        this.version = base.version() + 1;
        this.madeNow = Meta.newBuilder()
                .setVersion(Version.newBuilder().setIndex(version))
                .setCreatedAt(at)
                .setUpdatedAt(at)
                .build();
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
        changed();
        state = state.with(kind, id, null);
        events.add(new Event<>(kind, before, null));
    }

    /** Remembers what a request is answered, so that the same request, sent again, has no second effect. */
    public void answer(String requestId, CommandResult result) {
        outcomes.add(RequestOutcome.newBuilder()
                .setRequestId(requestId)
                .setResult(result)
                .build());
        changed();
        state = state.withOutcome(requestId, result);
    }

    /** Returns a point to which {@link #rollBack} can return. */
    public Savepoint savepoint() {
        return new Savepoint(state, events.size(), outcomes.size());
    }

    /** Forgets all changes made since the savepoint. */
    public void rollBack(Savepoint savepoint) {
        changed();
        state = savepoint.state;
        events.subList(savepoint.events, events.size()).clear();
        outcomes.subList(savepoint.outcomes, outcomes.size()).clear();
    }

    /** Returns the state after this transaction, the same object each time unless something changed in between. */
    public ClusterState commit() {
        ClusterState known = committed;
        if (known == null) {
            known = state.withVersion(version);
            committed = known;
        }
        return known;
    }

    /**
     * Returns this transaction as what it did in the end, each object against the base: the events that followers have
     * when they make it again from the log.
     */
    Commit toCommit() {
        Outcome outcome = outcome();
        List<Event<?>> all = new ArrayList<>(outcome.others);
        all.addAll(outcome.tasks);
        return new Commit(base, commit(), all, false);
    }

    /** Returns the changes as followers apply them. */
    public LogTransaction toLog() {
        Outcome outcome = outcome();
        LogTransaction.Builder log = LogTransaction.newBuilder().addAllOutcomes(outcomes);
        for (Event<?> event : outcome.others) {
            log.addChanges(change(event));
        }
        if (!outcome.tasks.isEmpty()) {
            TaskEncoder encoder = new TaskEncoder(state, at);
            for (Event<Task> event : outcome.tasks) {
                encoder.add(event.before(), event.object());
            }
            log.setTasks(encoder.batch());
        }
        return log.build();
    }

    private void changed() {
        outcome = null;
        committed = null;
    }

    private Outcome outcome() {
        Outcome known = outcome;
        if (known != null) {
            return known;
        }
        Outcome made = new Outcome(new ArrayList<>(), new ArrayList<>());
        Map<ObjectKey, Touched<?>> touched = new LinkedHashMap<>();
        for (Event<?> event : events) {
            ObjectKey key = new ObjectKey(event.kind(), event.id());
            touched.computeIfAbsent(key, first -> new Touched<>(event)).removed |= event.after() == null;
        }
        touched.values().forEach(object -> collect(object, made));
        outcome = made;
        return made;
    }

    private <T extends Message> void collect(Touched<T> touched, Outcome into) {
        Kind<T> kind = touched.first.kind();
        T before = touched.first.before();
        // One that was removed and made again is a new one: it is as old as this transaction.
        if (before != null && touched.removed) {
            into.others.add(new Event<>(kind, before, null));
            before = null;
        }
        T after = state.table(kind).get(touched.first.id());
        if (after != null) {
            Event<T> written = new Event<>(kind, before, after);
            Event<Task> task = written.as(Kind.TASK);
            if (task == null) {
                into.others.add(written);
            } else {
                into.tasks.add(task);
            }
        }
    }

    private static <T extends Message> LogChange change(Event<T> event) {
        T after = event.after();
        return after != null
                ? event.kind().change(after).build()
                : LogChange.newBuilder()
                        .setRemoval(Removal.newBuilder()
                                .setKind(event.kind().wire())
                                .setId(event.id()))
                        .build();
    }

    /** Makes the changes of a logged transaction again. */
    void replay(LogTransaction logged) {
        for (LogChange change : logged.getChangesList()) {
            switch (change.getKindCase()) {
                case NODE -> put(Kind.NODE, change.getNode());
                case SERVICE -> put(Kind.SERVICE, change.getService());
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
        TaskDecoder decoder = new TaskDecoder(state, at, logged.getTasks());
        for (TaskChange change : logged.getTasks().getTasksList()) {
            Task before = state.tasks().get(change.getId());
            if (before == null && !change.getMade()) {
                throw new IllegalStateException("the log changes task " + change.getId() + ", which does not exist");
            }
            write(
                    Kind.TASK,
                    before,
                    decoder.decode(change.getMade() ? null : before, change)
                            .setMeta(meta(before == null ? null : before.getMeta()))
                            .build());
        }
        for (RequestOutcome outcome : logged.getOutcomesList()) {
            answer(outcome.getRequestId(), outcome.getResult());
        }
    }

    private <T extends Message> T apply(Kind<T> kind, @Nullable T before, T object) {
        T stamped = kind.withMeta(object, meta(before == null ? null : kind.meta(before)));
        write(kind, before, stamped);
        return stamped;
    }

    private <T extends Message> void write(Kind<T> kind, @Nullable T before, T after) {
        changed();
        state = state.with(kind, kind.id(after), after);
        events.add(new Event<>(kind, before, after));
    }

    private Meta meta(@Nullable Meta before) {
        if (before == null) {
            return madeNow;
        }
        return madeNow.toBuilder().setCreatedAt(before.getCreatedAt()).build();
    }

    private record ObjectKey(Kind<?> kind, String id) {}

    /**
     * What came of each object in the end.
     *
     * @param others all that is removed, and all that is written but tasks
     * @param tasks the tasks that are written
     */
    private record Outcome(List<Event<?>> others, List<Event<Task>> tasks) {}

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
