package io.skep.engine;

/** The two streams a process writes. */
public enum OutputStreamKind {
    STDOUT("stdout", 1),
    STDERR("stderr", 2);

    private final String text;
    private final int number;

    OutputStreamKind(String text, int number) {
        this.text = text;
        this.number = number;
    }

    /** Returns the name that log files use. */
    public String text() {
        return text;
    }

    /** Returns the number that marks the stream in a multiplexed stream (engine-api 1.5). */
    public int number() {
        return number;
    }
}
