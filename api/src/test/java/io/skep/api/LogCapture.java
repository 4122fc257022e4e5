package io.skep.api;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** What is logged while it is open: the log of tests goes to the standard streams. */
final class LogCapture implements AutoCloseable {
    private final PrintStream out = System.out;
    private final PrintStream err = System.err;
    private final BlockingQueue<String> lines = new LinkedBlockingQueue<>();

    LogCapture() {
        PrintStream lineByLine = new PrintStream(new Lines(), true, StandardCharsets.UTF_8);
        System.setOut(lineByLine);
        System.setErr(lineByLine);
    }

    /** Waits for a line that holds the text and returns it. */
    String await(String text) throws InterruptedException {
        while (true) {
            String line = lines.poll(20, TimeUnit.SECONDS);
            if (line == null) {
                throw new AssertionError("nothing was logged about: " + text);
            }
            if (line.contains(text)) {
                return line;
            }
        }
    }

    @Override
    public void close() {
        System.setOut(out);
        System.setErr(err);
    }

    private final class Lines extends ByteArrayOutputStream {
        @Override
        public synchronized void flush() {
            if (size() > 0) {
                lines.add(toString(StandardCharsets.UTF_8));
                reset();
            }
        }
    }
}
