package io.skep.simulation;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * Cuts a failing run down: leaves out deeds, ever smaller parts of the list, as long as the same rule is broken in the
 * same way (delta debugging). What is left is the shortest run that was found, not the shortest there is.
 */
final class Shrink {
    private final Consumer<String> progress;
    private int runs;

    Shrink(Consumer<String> progress) {
        this.progress = progress;
    }

    /** Cuts a plan down that breaks a rule as that violation tells it, but for names, numbers and times. */
    Plan shrink(Plan plan, Violation violation) {
        String kind = kind(violation);
        List<Deed> deeds = plan.deeds();
        int parts = 2;
        while (!deeds.isEmpty()) {
            int size = Math.max(1, (deeds.size() + parts - 1) / parts);
            List<Deed> smaller = null;
            for (int from = 0; from < deeds.size() && smaller == null; from += size) {
                List<Deed> left = new ArrayList<>(deeds.subList(0, from));
                left.addAll(deeds.subList(Math.min(deeds.size(), from + size), deeds.size()));
                if (fails(plan.with(left), kind)) {
                    smaller = left;
                }
            }
            if (smaller != null) {
                deeds = smaller;
                progress.accept(deeds.size() + " deeds after " + runs + " runs");
                parts = Math.max(2, parts - 1);
            } else if (size == 1) {
                break;
            } else {
                parts = Math.min(deeds.size(), 2 * parts);
            }
        }
        return plan.with(deeds);
    }

    private boolean fails(Plan plan, String kind) {
        runs++;
        Violation violation = World.run(plan, null).violation();
        return violation != null && kind(violation).equals(kind);
    }

    private static String kind(Violation violation) {
        return violation.getMessage().replaceAll("[A-Za-z]*[0-9][A-Za-z0-9]*", "#");
    }
}
