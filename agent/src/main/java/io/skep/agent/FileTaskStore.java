package io.skep.agent;

import com.google.protobuf.InvalidProtocolBufferException;
import io.skep.certs.PrivateFiles;
import io.skep.wire.Task;
import io.skep.wire.TaskStatus;
import io.skep.wire.UpdateTaskStatusRequest.TaskStatusUpdate;
import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The tasks of a node in one file, to which each change is appended.
 *
 * <p>The file begins with {@code SKEPTSK1}. Each record is its length and the CRC-32C of what follows (four bytes each,
 * big endian), a byte that says what it is, and a message: 1, a {@link Task} with its status; 2, a
 * {@link TaskStatusUpdate}; 3, a {@link Task} that has only its id and is forgotten. When the file has grown to twice
 * what the kept tasks need and a megabyte more, it is written anew.
 *
 * <p>A record is in the hands of the kernel before the method returns, so the end of the process loses nothing. It is
 * not forced to the disk: a power cut ends the tasks too, and what it takes from the end of the file does no harm. A
 * task whose newest status is lost is looked at again by its controller; one that is lost altogether is taken up with
 * the status that the managers know; one whose removal is lost is not in their list. So a board's flash is spared a
 * write per status. Only a file that replaces another is forced before it does.
 *
 * <p>A record that is torn or damaged ends the file; what follows is cut off. A record that cannot be written, because
 * the disk is full for example, is lost with the process unless a later one can: then the file is written anew first.
 *
 * <p>Task specs hold credentials of registries and environments, so only the owner may read the file. Used by one
 * thread.
 */
public final class FileTaskStore implements TaskStore, Closeable {
    private static final Logger LOG = LoggerFactory.getLogger(FileTaskStore.class);

    private static final long MAGIC = 0x534b45505453_4b31L;
    private static final int MAGIC_BYTES = Long.BYTES;
    private static final int HEAD_BYTES = 2 * Integer.BYTES;
    private static final int RECORD_BYTES_MAX = 64 << 20;
    private static final long SLACK_BYTES = 1 << 20;

    private static final byte TASK = 1;
    private static final byte STATUS = 2;
    private static final byte REMOVED = 3;

    private final Path file;
    private final Map<String, Task> tasks = new LinkedHashMap<>();
    private @Nullable FileChannel channel;
    private long sizeBytes;
    private long keptBytes;
    private boolean failing;

    /**
     * Opens the store, and makes it where there is none.
     *
     * @throws IOException when the file cannot be read or made
     */
    public FileTaskStore(Path folder) throws IOException {
        PrivateFiles.createFolder(folder);
        file = folder.resolve("tasks.log");
        if (Files.exists(file)) {
            read();
        }
        if (channel == null) {
            writeAnew();
        }
    }

    @Override
    public List<Task> load() {
        return List.copyOf(tasks.values());
    }

    @Override
    public void put(Task task) {
        note(task);
        append(TASK, task.toByteArray());
    }

    @Override
    public void putStatus(String taskId, TaskStatus status) {
        if (!note(taskId, status)) {
            return;
        }
        append(
                STATUS,
                TaskStatusUpdate.newBuilder()
                        .setTaskId(taskId)
                        .setStatus(status)
                        .build()
                        .toByteArray());
    }

    @Override
    public void remove(String taskId) {
        if (forget(taskId)) {
            append(REMOVED, Task.newBuilder().setId(taskId).build().toByteArray());
        }
    }

    @Override
    public void close() throws IOException {
        if (channel != null) {
            channel.close();
            channel = null;
        }
    }

    private void note(Task task) {
        Task before = tasks.put(task.getId(), task);
        keptBytes += recordBytes(task) - (before == null ? 0 : recordBytes(before));
    }

    private boolean note(String taskId, TaskStatus status) {
        Task task = tasks.get(taskId);
        if (task == null) {
            return false;
        }
        note(task.toBuilder().setStatus(status).build());
        return true;
    }

    private boolean forget(String taskId) {
        Task task = tasks.remove(taskId);
        if (task == null) {
            return false;
        }
        keptBytes -= recordBytes(task);
        return true;
    }

    private static long recordBytes(Task task) {
        return HEAD_BYTES + 1L + task.getSerializedSize();
    }

    private void append(byte kind, byte[] message) {
        try {
            if (channel == null || sizeBytes > 2 * keptBytes + SLACK_BYTES) {
                // What is to be appended is among the tasks already.
                writeAnew();
                return;
            }
            ByteBuffer buffer = record(kind, message);
            long at = sizeBytes;
            while (buffer.hasRemaining()) {
                at += channel.write(buffer, at);
            }
            sizeBytes = at;
        } catch (IOException e) {
            if (!failing) {
                LOG.error("The tasks of this node cannot be kept in {} for now: {}", file, e.getMessage());
            }
            failing = true;
            abandon();
        }
    }

    /** The file may end with half a record: the next change writes it anew. */
    private void abandon() {
        try {
            close();
        } catch (IOException e) {
            LOG.debug("closing {}: {}", file, e.getMessage());
            channel = null;
        }
    }

    private static ByteBuffer record(byte kind, byte[] message) {
        ByteBuffer buffer = ByteBuffer.allocate(HEAD_BYTES + 1 + message.length);
        buffer.putInt(1 + message.length).putInt(0).put(kind).put(message);
        buffer.putInt(Integer.BYTES, checksum(buffer.array(), HEAD_BYTES, 1 + message.length));
        return buffer.flip();
    }

    private static int checksum(byte[] bytes, int offset, int length) {
        CRC32C checksum = new CRC32C();
        checksum.update(bytes, offset, length);
        return (int) checksum.getValue();
    }

    private void writeAnew() throws IOException {
        abandon();
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        content.writeBytes(ByteBuffer.allocate(MAGIC_BYTES).putLong(MAGIC).array());
        for (Task task : tasks.values()) {
            content.writeBytes(record(TASK, task.toByteArray()).array());
        }
        PrivateFiles.write(file, content.toByteArray(), PrivateFiles.Readers.OWNER);
        channel = FileChannel.open(file, StandardOpenOption.WRITE);
        sizeBytes = content.size();
        failing = false;
    }

    private void read() throws IOException {
        byte[] content = Files.readAllBytes(file);
        ByteBuffer buffer = ByteBuffer.wrap(content);
        if (content.length < MAGIC_BYTES || buffer.getLong() != MAGIC) {
            LOG.error("{} does not hold tasks; they are taken as the managers know them.", file);
            return;
        }
        int good = buffer.position();
        while (take(buffer)) {
            good = buffer.position();
        }
        channel = FileChannel.open(file, StandardOpenOption.WRITE);
        if (good < content.length) {
            LOG.warn("{} is whole up to byte {}; the {} bytes behind are dropped.", file, good, content.length - good);
            channel.truncate(good);
        }
        sizeBytes = good;
    }

    /** Takes the next record; returns false when there is none that is whole. */
    private boolean take(ByteBuffer buffer) {
        if (buffer.remaining() < HEAD_BYTES) {
            return false;
        }
        int length = buffer.getInt();
        int checksum = buffer.getInt();
        if (length < 1 || length > Math.min(RECORD_BYTES_MAX, buffer.remaining())) {
            return false;
        }
        byte[] content = new byte[length];
        buffer.get(content);
        if (checksum(content, 0, length) != checksum) {
            return false;
        }
        ByteBuffer message = ByteBuffer.wrap(content, 1, length - 1);
        try {
            switch (content[0]) {
                case TASK -> note(Task.parseFrom(message));
                case STATUS -> {
                    TaskStatusUpdate update = TaskStatusUpdate.parseFrom(message);
                    note(update.getTaskId(), update.getStatus());
                }
                case REMOVED -> forget(Task.parseFrom(message).getId());
                default -> {
                    return false;
                }
            }
            return true;
        } catch (InvalidProtocolBufferException e) {
            return false;
        }
    }
}
