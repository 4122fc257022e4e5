package io.skep.raft;

import java.util.ArrayDeque;

/** What a leader knows of another member. */
final class Peer {
    static final long WINDOW_BYTES = 4 << 20;
    private static final int WINDOW_MESSAGES = 64;

    /** How the peer is brought up to date. */
    enum Mode {
        /** One message at a time, until it is known where its log and ours part. */
        PROBE,
        /** Messages are sent ahead of answers. */
        REPLICATE,
        /** It gets a snapshot. */
        SNAPSHOT
    }

    private record Sent(long lastIndex, long bytes) {}

    final String id;
    Mode mode = Mode.PROBE;
    long match;
    long next;
    boolean probing;
    boolean unable;
    /** Round that was current when entries were last sent. */
    long sentRound;

    long ackedRound;
    long heardMillis;
    boolean disconnected;
    long incarnation;
    long commitTold;
    /** When a member that was removed is no longer told so; 0 for members. */
    long retiredMillis;

    long snapshotIndex;
    int snapshotChunk;
    boolean snapshotReading;
    long snapshotMillis;

    private final ArrayDeque<Sent> window = new ArrayDeque<>();
    private long windowBytes;

    Peer(String id, long next, long nowMillis) {
        this.id = id;
        this.next = next;
        this.heardMillis = nowMillis;
    }

    boolean windowOpen() {
        return window.size() < WINDOW_MESSAGES && windowBytes < WINDOW_BYTES;
    }

    void sent(long lastIndex, long bytes) {
        window.add(new Sent(lastIndex, bytes));
        windowBytes += bytes;
    }

    void acknowledged(long index) {
        while (!window.isEmpty() && window.getFirst().lastIndex <= index) {
            windowBytes -= window.removeFirst().bytes;
        }
    }

    void probeFrom(long index) {
        mode = Mode.PROBE;
        next = index;
        probing = false;
        window.clear();
        windowBytes = 0;
    }
}
