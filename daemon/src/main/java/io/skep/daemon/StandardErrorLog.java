package io.skep.daemon;

import io.skep.daemon.config.Configuration;
import io.skep.daemon.config.Configuration.LogFormat;
import io.skep.daemon.config.Configuration.LogLevel;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.logging.Handler;
import java.util.logging.LogManager;
import java.util.logging.LogRecord;
import org.jspecify.annotations.Nullable;
import org.slf4j.LoggerFactory;
import org.tinylog.Level;
import org.tinylog.format.MessageFormatter;
import org.tinylog.provider.ContextProvider;
import org.tinylog.provider.LoggingProvider;
import org.tinylog.provider.NopContextProvider;

/**
 * tinylog's end in the daemon: it writes each message as one line to standard error, in the form that dockerd's log
 * has, or as JSON. tinylog's own end fixes its level when it starts; this one's can be changed while the daemon runs.
 *
 * <p>Debug messages are those of Skep only, trace messages those of its libraries, too. A stack trace is written for an
 * error, which is always a defect, and while debugging; otherwise the causes in one line.
 */
public final class StandardErrorLog implements LoggingProvider {
    private static final DateTimeFormatter TIME =
            DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSSSSSX").withZone(ZoneOffset.UTC);
    private static final int MAXIMUM_CAUSES = 8;
    private static final OutputStream STANDARD_ERROR = new FileOutputStream(FileDescriptor.err);

    private static volatile Level level = Level.INFO;
    private static volatile LogFormat format = LogFormat.TEXT;

    /** Sets level and format from now on, and takes over what libraries write by java.util.logging. */
    static void configure(Configuration.Log log) {
        level = level(log.level());
        format = log.format();
        LogManager.getLogManager().reset();
        java.util.logging.Logger root = java.util.logging.Logger.getLogger("");
        root.setLevel(java.util.logging.Level.WARNING);
        root.addHandler(new FromJavaLogging());
    }

    static Level level(LogLevel configured) {
        return switch (configured) {
            case TRACE -> Level.TRACE;
            case DEBUG -> Level.DEBUG;
            case INFO -> Level.INFO;
            case WARN -> Level.WARN;
            case ERROR -> Level.ERROR;
        };
    }

    @Override
    public ContextProvider getContextProvider() {
        return new NopContextProvider();
    }

    /** Returns the least level there can be: the loggers ask once and keep the answer. */
    @Override
    public Level getMinimumLevel() {
        return Level.TRACE;
    }

    @Override
    public Level getMinimumLevel(@Nullable String tag) {
        return Level.TRACE;
    }

    @Override
    public boolean isEnabled(int depth, @Nullable String tag, Level asked) {
        return isEnabled(asked);
    }

    @Override
    public boolean isEnabled(@Nullable String loggerClassName, @Nullable String tag, Level asked) {
        return isEnabled(asked);
    }

    @Override
    public void log(
            int depth,
            @Nullable String tag,
            Level asked,
            @Nullable Throwable exception,
            @Nullable MessageFormatter formatter,
            @Nullable Object message,
            @Nullable Object @Nullable ... arguments) {
        if (isEnabled(asked)) {
            write(asked, text(formatter, message, arguments), exception);
        }
    }

    @Override
    public void log(
            @Nullable String loggerClassName,
            @Nullable String tag,
            Level asked,
            @Nullable Throwable exception,
            @Nullable MessageFormatter formatter,
            @Nullable Object message,
            @Nullable Object @Nullable ... arguments) {
        log(0, tag, asked, exception, formatter, message, arguments);
    }

    @Override
    public void shutdown() {}

    private static boolean isEnabled(Level asked) {
        Level current = level;
        if (asked.compareTo(current) < 0) {
            return false;
        }
        return asked.compareTo(Level.DEBUG) > 0 || current == Level.TRACE || callerIsOurs();
    }

    /** Finds out who logs; asked only while debugging. */
    private static boolean callerIsOurs() {
        return StackWalker.getInstance()
                .walk(frames -> frames.map(StackWalker.StackFrame::getClassName)
                        .filter(name ->
                                !name.startsWith("org.tinylog.") && !name.equals(StandardErrorLog.class.getName()))
                        .findFirst())
                .filter(name -> name.startsWith("io.skep."))
                .isPresent();
    }

    private static String text(
            @Nullable MessageFormatter formatter, @Nullable Object message, @Nullable Object @Nullable [] arguments) {
        String text = String.valueOf(message);
        return formatter == null || arguments == null ? text : formatter.format(text, arguments);
    }

    private static void write(Level asked, String message, @Nullable Throwable exception) {
        String line = format == LogFormat.JSON
                ? json(Instant.now(), asked, message, exception)
                : plain(Instant.now(), asked, message, exception);
        synchronized (STANDARD_ERROR) {
            try {
                STANDARD_ERROR.write(line.getBytes(StandardCharsets.UTF_8));
            } catch (IOException _) {
                // Nobody reads the log any more, and there is no other place to say so.
                level = Level.OFF;
            }
        }
    }

    static String plain(Instant time, Level asked, String message, @Nullable Throwable exception) {
        StringBuilder line = new StringBuilder("time=\"").append(TIME.format(time));
        line.append("\" level=").append(name(asked)).append(" msg=");
        quote(line, message);
        if (exception != null) {
            line.append(" error=");
            quote(line, causes(exception));
        }
        line.append('\n');
        if (exception != null && wantsTrace(asked)) {
            line.append(trace(exception));
        }
        return line.toString();
    }

    static String json(Instant time, Level asked, String message, @Nullable Throwable exception) {
        StringBuilder line =
                new StringBuilder("{\"level\":\"").append(name(asked)).append("\",\"msg\":");
        quote(line, message);
        if (exception != null) {
            line.append(",\"error\":");
            quote(line, wantsTrace(asked) ? trace(exception) : causes(exception));
        }
        return line.append(",\"time\":\"")
                .append(TIME.format(time))
                .append("\"}\n")
                .toString();
    }

    private static boolean wantsTrace(Level asked) {
        return asked == Level.ERROR || level.compareTo(Level.INFO) < 0;
    }

    /** Names levels as dockerd's log does. */
    private static String name(Level asked) {
        return switch (asked) {
            case TRACE -> "trace";
            case DEBUG -> "debug";
            case INFO -> "info";
            case WARN -> "warning";
            case ERROR, OFF -> "error";
        };
    }

    private static String causes(Throwable exception) {
        StringBuilder text = new StringBuilder();
        Throwable cause = exception;
        for (int i = 0; cause != null && i < MAXIMUM_CAUSES; i++) {
            text.append(i == 0 ? "" : ": ")
                    .append(cause.getMessage() == null ? cause.getClass().getSimpleName() : cause.getMessage());
            cause = cause.getCause();
        }
        return text.toString();
    }

    private static String trace(Throwable exception) {
        StringWriter text = new StringWriter();
        exception.printStackTrace(new PrintWriter(text));
        return text.toString();
    }

    /** Quotes as JSON does, so that a message cannot start a line of its own. */
    private static void quote(StringBuilder line, String text) {
        line.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            switch (c) {
                case '"' -> line.append("\\\"");
                case '\\' -> line.append("\\\\");
                case '\n' -> line.append("\\n");
                case '\t' -> line.append("\\t");
                default -> {
                    if (Character.isISOControl(c)) {
                        line.append(String.format("\\u%04x", (int) c));
                    } else {
                        line.append(c);
                    }
                }
            }
        }
        line.append('"');
    }

    /** Carries on what libraries such as gRPC write by java.util.logging. */
    private static final class FromJavaLogging extends Handler {
        @Override
        public void publish(LogRecord logRecord) {
            var logger = LoggerFactory.getLogger(String.valueOf(logRecord.getLoggerName()));
            boolean severe = logRecord.getLevel().intValue() >= java.util.logging.Level.SEVERE.intValue();
            logger.atLevel(severe ? org.slf4j.event.Level.ERROR : org.slf4j.event.Level.WARN)
                    .setCause(logRecord.getThrown())
                    .log(String.valueOf(logRecord.getMessage()));
        }

        @Override
        public void flush() {}

        @Override
        public void close() {}
    }
}
