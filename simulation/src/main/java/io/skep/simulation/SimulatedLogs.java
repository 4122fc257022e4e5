package io.skep.simulation;

import org.jspecify.annotations.Nullable;
import org.slf4j.ILoggerFactory;
import org.slf4j.IMarkerFactory;
import org.slf4j.Marker;
import org.slf4j.event.Level;
import org.slf4j.helpers.AbstractLogger;
import org.slf4j.helpers.BasicMarkerFactory;
import org.slf4j.helpers.MessageFormatter;
import org.slf4j.helpers.NOPMDCAdapter;
import org.slf4j.spi.MDCAdapter;
import org.slf4j.spi.SLF4JServiceProvider;

/**
 * The log of the simulated programs: errors are failures of the run, for production code logs an error only where it
 * thinks that it is wrong itself. The rest is for those who trace.
 */
public final class SimulatedLogs implements SLF4JServiceProvider {
    /** Takes what is logged in this thread. */
    interface Sink {
        boolean wants(Level level);

        void logged(Level level, String logger, String text, @Nullable Throwable cause);
    }

    private static final ThreadLocal<@Nullable Sink> SINK = new ThreadLocal<>();

    private final IMarkerFactory markers = new BasicMarkerFactory();
    private final MDCAdapter context = new NOPMDCAdapter();

    /** Sends what this thread logs from now on to a sink. */
    static void to(@Nullable Sink sink) {
        SINK.set(sink);
    }

    @Override
    public ILoggerFactory getLoggerFactory() {
        return Log::new;
    }

    @Override
    public IMarkerFactory getMarkerFactory() {
        return markers;
    }

    @Override
    public MDCAdapter getMDCAdapter() {
        return context;
    }

    @Override
    public String getRequestedApiVersion() {
        return "2.0.99";
    }

    @Override
    public void initialize() {
        // There is nothing to set up.
    }

    private static final class Log extends AbstractLogger {
        private static final long serialVersionUID = 1;

        Log(String name) {
            this.name = name;
        }

        private static boolean wants(Level level) {
            Sink sink = SINK.get();
            return sink != null && sink.wants(level);
        }

        @Override
        protected @Nullable String getFullyQualifiedCallerName() {
            return null;
        }

        @Override
        protected void handleNormalizedLoggingCall(
                Level level,
                @Nullable Marker marker,
                String message,
                @Nullable Object @Nullable [] arguments,
                @Nullable Throwable cause) {
            Sink sink = SINK.get();
            if (sink != null) {
                String text = MessageFormatter.basicArrayFormat(message, arguments);
                sink.logged(level, name.substring(name.lastIndexOf('.') + 1), text, cause);
            }
        }

        @Override
        public boolean isTraceEnabled() {
            return wants(Level.TRACE);
        }

        @Override
        public boolean isTraceEnabled(Marker marker) {
            return isTraceEnabled();
        }

        @Override
        public boolean isDebugEnabled() {
            return wants(Level.DEBUG);
        }

        @Override
        public boolean isDebugEnabled(Marker marker) {
            return isDebugEnabled();
        }

        @Override
        public boolean isInfoEnabled() {
            return wants(Level.INFO);
        }

        @Override
        public boolean isInfoEnabled(Marker marker) {
            return isInfoEnabled();
        }

        @Override
        public boolean isWarnEnabled() {
            return wants(Level.WARN);
        }

        @Override
        public boolean isWarnEnabled(Marker marker) {
            return isWarnEnabled();
        }

        @Override
        public boolean isErrorEnabled() {
            return wants(Level.ERROR);
        }

        @Override
        public boolean isErrorEnabled(Marker marker) {
            return isErrorEnabled();
        }
    }
}
