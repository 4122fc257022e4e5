package io.skep.engine;

import java.util.List;

/** Keeps nothing. */
final class NoLog implements ContainerLog {
    @Override
    public void begun() {
        // Nobody follows.
    }

    @Override
    public void write(List<LogLine> lines) {
        // That is what was asked for.
    }

    @Override
    public void ended() {
        // Nobody follows.
    }

    @Override
    public void read(LogOptions options, Reader reader) {
        throw new UnsupportedOperationException("configured logging driver does not support reading");
    }

    @Override
    public void close() {
        // There is nothing to close.
    }
}
