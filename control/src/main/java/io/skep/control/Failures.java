package io.skep.control;

import io.skep.wire.Task;
import io.skep.wire.Version;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import java.util.function.ObjIntConsumer;

/** What failed where of late; at most {@value #REMEMBERED_MAX} failures of a version of a service on each node. */
final class Failures {
    static final Duration REMEMBERED_FOR = Duration.ofMinutes(5);
    private static final int REMEMBERED_MAX = 100;

    /** A version of a service, whose failures on a node count together. */
    private record Revision(String serviceId, Version version) {
        static Revision of(Task task) {
            return new Revision(task.getServiceId(), task.getSpecVersion());
        }
    }

    private static final class Place {
        final Revision revision;
        final NodeLoad load;
        final Deque<Instant> times = new ArrayDeque<>();

        Place(Revision revision, NodeLoad load) {
            this.revision = revision;
            this.load = load;
        }
    }

    private final Map<Revision, Map<NodeLoad, Place>> places = new HashMap<>();
    /** By the time of the last failure. */
    private final Set<Place> oldestFirst = new LinkedHashSet<>();

    /**
     * Takes note that a task failed.
     *
     * @param at not before that of the call before
     */
    void add(Task task, NodeLoad load, Instant at) {
        Revision revision = Revision.of(task);
        Place place = places.computeIfAbsent(revision, key -> new LinkedHashMap<>())
                .computeIfAbsent(load, key -> new Place(revision, load));
        place.times.addLast(at);
        if (place.times.size() > REMEMBERED_MAX) {
            place.times.removeFirst();
        }
        oldestFirst.remove(place);
        oldestFirst.add(place);
    }

    /** Returns for how many pairs of a node and a version of a service failures are remembered. */
    int size() {
        return oldestFirst.size();
    }

    /** Forgets what is too old to matter. */
    void expire(Instant now) {
        Instant since = now.minus(REMEMBERED_FOR);
        Iterator<Place> iterator = oldestFirst.iterator();
        while (iterator.hasNext()) {
            Place place = iterator.next();
            Instant last = place.times.peekLast();
            if (last != null && !last.isBefore(since)) {
                return;
            }
            iterator.remove();
            Map<NodeLoad, Place> ofRevision = places.get(place.revision);
            if (ofRevision != null) {
                ofRevision.remove(place.load);
                if (ofRevision.isEmpty()) {
                    places.remove(place.revision);
                }
            }
        }
    }

    /** Visits the nodes on which tasks of the same version of the service failed, with the number of times. */
    void forEach(Task task, Instant now, ObjIntConsumer<NodeLoad> visitor) {
        Map<NodeLoad, Place> ofRevision = places.isEmpty() ? null : places.get(Revision.of(task));
        if (ofRevision != null) {
            ofRevision.values().forEach(place -> {
                if (!place.load.isRetired()) {
                    visitor.accept(place.load, count(place, now));
                }
            });
        }
    }

    private static int count(Place place, Instant now) {
        Instant since = now.minus(REMEMBERED_FOR);
        while (!place.times.isEmpty() && place.times.getFirst().isBefore(since)) {
            place.times.removeFirst();
        }
        return place.times.size();
    }
}
