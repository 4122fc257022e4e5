package io.skep.raft;

import java.nio.file.Path;

/**
 * What a manager brings to the log.
 *
 * @param selfId its node id
 * @param address host:port at which the other managers reach it
 * @param directory where its files are kept; made when missing, used by this process alone
 * @param keys what they are encrypted with
 * @param timing when it loses patience
 * @param limits how much it keeps
 */
public record RaftSettings(
        String selfId, String address, Path directory, KeyRing keys, RaftTiming timing, RaftLimits limits) {
    public RaftSettings(String selfId, String address, Path directory, KeyRing keys) {
        this(selfId, address, directory, keys, RaftTiming.DEFAULT, RaftLimits.DEFAULT);
    }

    public RaftSettings {
        if (selfId.isEmpty()) {
            throw new IllegalArgumentException("a manager needs a node id");
        }
    }
}
