package io.skep.simulation;

import java.util.Locale;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** What happens in a run, one line each, for those who want to read it. The key to the lines is docs/simulation.md. */
final class Trace {
    private final VirtualTime time;
    private final @Nullable Consumer<String> out;

    Trace(VirtualTime time, @Nullable Consumer<String> out) {
        this.time = time;
        this.out = out;
    }

    boolean isOn() {
        return out != null;
    }

    /** Notes one event; the text is only made when somebody reads it. */
    void say(String kind, String where, Supplier<String> text) {
        Consumer<String> reader = out;
        if (reader != null) {
            reader.accept(
                    String.format(Locale.ROOT, "%10.4f %-9s %-4s %s", time.nanos() / 1e9, kind, where, text.get()));
        }
    }
}
