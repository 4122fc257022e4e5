package io.skep.raft;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * A disk in memory that forgets at a loss of power what was not synced, can be full, and can lose power within any
 * operation.
 */
final class MemoryDisk implements Disk {
    /** The power is gone in the middle of an operation. */
    static final class PowerLoss extends Error {
        private static final long serialVersionUID = 1;
    }

    private static final class Content {
        private byte[] bytes = new byte[0];
        private int synced;
    }

    /** A name given or taken; two names, separated by NUL, for a rename. */
    private record NameChange(String name, @Nullable Content content) {}

    private final RandomGenerator random;
    private final Map<String, Content> names = new TreeMap<>();
    private final Map<String, Content> durableNames = new TreeMap<>();
    private final List<NameChange> unsyncedNames = new ArrayList<>();
    private boolean full;
    private int operationsToPowerLoss = -1;

    MemoryDisk(RandomGenerator random) {
        this.random = random;
    }

    /** Lets writes fail, or succeed again. */
    void full(boolean on) {
        full = on;
    }

    /** Takes the power away in the middle of that many operations from now. */
    void losePowerAfter(int operations) {
        operationsToPowerLoss = operations;
    }

    /** Forgets what was not synced, or any part of it. */
    void powerLost() {
        operationsToPowerLoss = -1;
        int kept = unsyncedNames.isEmpty() ? 0 : random.nextInt(unsyncedNames.size() + 1);
        for (NameChange change : unsyncedNames.subList(0, kept)) {
            change(durableNames, change);
        }
        unsyncedNames.clear();
        names.clear();
        names.putAll(durableNames);
        for (Content content : names.values()) {
            int unsynced = content.bytes.length - content.synced;
            if (unsynced > 0) {
                int length = content.synced + random.nextInt(unsynced + 1);
                content.bytes = Arrays.copyOf(content.bytes, length);
                if (length > content.synced && random.nextInt(4) == 0) {
                    content.bytes[content.synced + random.nextInt(length - content.synced)] ^= 0x40;
                }
                content.synced = length;
            }
        }
    }

    byte[] bytes(String name) {
        return content(name).bytes.clone();
    }

    void put(String name, byte[] bytes) {
        Content content = new Content();
        content.bytes = bytes.clone();
        content.synced = bytes.length;
        names.put(name, content);
        durableNames.put(name, content);
    }

    void wipe() {
        names.clear();
        durableNames.clear();
        unsyncedNames.clear();
    }

    @Override
    public String describe(String name) {
        return "memory:" + name;
    }

    @Override
    public List<String> list() {
        return List.copyOf(names.keySet());
    }

    @Override
    public DiskFile create(String name) throws IOException {
        operation();
        Content content = new Content();
        change(new NameChange(name, content));
        return new OpenFile(content);
    }

    @Override
    public DiskFile open(String name) {
        return new OpenFile(content(name));
    }

    @Override
    public void rename(String from, String to) throws IOException {
        operation();
        Content content = content(from);
        change(new NameChange(from + "\0" + to, content));
    }

    @Override
    public void delete(String name) throws IOException {
        operation();
        change(new NameChange(name, null));
    }

    @Override
    public void syncDirectory() throws IOException {
        operation();
        for (NameChange change : unsyncedNames) {
            change(durableNames, change);
        }
        unsyncedNames.clear();
    }

    @Override
    public void close() {}

    private Content content(String name) {
        Content content = names.get(name);
        if (content == null) {
            throw new IllegalStateException("no file " + name);
        }
        return content;
    }

    private void change(NameChange change) {
        change(names, change);
        unsyncedNames.add(change);
    }

    private static void change(Map<String, Content> map, NameChange change) {
        int separator = change.name().indexOf('\0');
        Content content = change.content();
        if (separator >= 0 && content != null) {
            map.remove(change.name().substring(0, separator));
            map.put(change.name().substring(separator + 1), content);
        } else if (content == null) {
            map.remove(change.name());
        } else {
            map.put(change.name(), content);
        }
    }

    private void operation() {
        if (operationsToPowerLoss >= 0 && operationsToPowerLoss-- == 0) {
            throw new PowerLoss();
        }
    }

    private final class OpenFile implements DiskFile {
        private final Content content;

        private OpenFile(Content content) {
            this.content = content;
        }

        @Override
        public long size() {
            return content.bytes.length;
        }

        @Override
        public int read(long position, ByteBuffer into) {
            int count = (int) Math.min(into.remaining(), Math.max(0, content.bytes.length - position));
            into.put(content.bytes, (int) Math.min(position, content.bytes.length), count);
            return count;
        }

        @Override
        public void append(ByteBuffer bytes) throws IOException {
            byte[] added = new byte[bytes.remaining()];
            bytes.get(added);
            int written = full ? random.nextInt(added.length) : added.length;
            int from = content.bytes.length;
            content.bytes = Arrays.copyOf(content.bytes, from + written);
            System.arraycopy(added, 0, content.bytes, from, written);
            operation();
            if (full) {
                throw new IOException("No space left on device");
            }
        }

        @Override
        public void truncate(long size) throws IOException {
            operation();
            content.bytes = Arrays.copyOf(content.bytes, (int) size);
            content.synced = Math.min(content.synced, (int) size);
        }

        @Override
        public void sync() throws IOException {
            operation();
            content.synced = content.bytes.length;
        }

        @Override
        public void close() {}
    }
}
