package io.skep.control;

import java.util.Arrays;
import java.util.BitSet;
import java.util.EnumMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Why each node is turned down for tasks that no node takes, kept so that only nodes that changed are asked again.
 *
 * <p>Tasks that cannot be placed say why in their status, and what they say must be so: each node counts under the
 * first filter that it does not pass.
 */
final class Rejections {
    private final NodeFilters filters;
    private final NodeLoads loads;
    private @Nullable NodeFilter[] reasons = new NodeFilter[0];
    private final BitSet accepting = new BitSet();
    private final Map<NodeFilter, Integer> counts = new EnumMap<>(NodeFilter.class);
    private int acceptingCount;
    private long upTo = -1;
    private @Nullable String explanation;

    Rejections(NodeFilters filters, NodeLoads loads) {
        this.filters = filters;
        this.loads = loads;
    }

    /** Returns about how many nodes this remembers. */
    int size() {
        return reasons.length;
    }

    /** Asks the nodes that changed since the last time; returns whether any of them can take a task now. */
    boolean acceptsAny(SlotCounts ofService) {
        if (upTo < 0 || !loads.remembers(upTo)) {
            reasons = new NodeFilter[loads.slotsEnd()];
            accepting.clear();
            counts.clear();
            acceptingCount = 0;
            explanation = null;
            for (int slot = 0; slot < reasons.length; slot++) {
                ask(slot, ofService);
            }
        } else {
            if (reasons.length < loads.slotsEnd()) {
                reasons = Arrays.copyOf(reasons, loads.slotsEnd());
            }
            loads.forEachChange(upTo, slot -> ask(slot, ofService));
        }
        upTo = loads.now();
        return acceptingCount > 0;
    }

    private void ask(int slot, SlotCounts ofService) {
        NodeLoad load = loads.at(slot);
        boolean exists = load != null && load.node() != null;
        NodeFilter reason = load == null || !exists ? null : filters.rejection(load, ofService.get(slot));
        boolean accepts = exists && reason == null;
        if (accepts != accepting.get(slot)) {
            accepting.set(slot, accepts);
            acceptingCount += accepts ? 1 : -1;
        }
        NodeFilter before = reasons[slot];
        if (before != reason) {
            reasons[slot] = reason;
            count(before, -1);
            count(reason, 1);
            explanation = null;
        }
    }

    private void count(@Nullable NodeFilter reason, int change) {
        if (reason != null) {
            counts.merge(reason, change, (old, delta) -> old + delta == 0 ? null : old + delta);
        }
    }

    /** Returns why nodes were turned down, the most frequent reason first; empty when none was. */
    String explanation() {
        String text = explanation;
        if (text == null) {
            StringBuilder builder = new StringBuilder();
            counts.entrySet().stream()
                    .sorted(Map.Entry.<NodeFilter, Integer>comparingByValue().reversed())
                    .forEach(entry -> builder.append(builder.isEmpty() ? "" : "; ")
                            .append(entry.getKey().explain(entry.getValue())));
            text = builder.toString();
            explanation = text;
        }
        return text;
    }
}
