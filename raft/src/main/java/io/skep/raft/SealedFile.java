package io.skep.raft;

import com.google.protobuf.ByteString;
import io.skep.raft.Disk.DiskFile;
import io.skep.raft.KeyRing.DataKey;
import io.skep.raft.RaftStorageException.Reason;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.zip.CRC32C;
import javax.crypto.AEADBadTagException;
import javax.crypto.Cipher;
import javax.crypto.Mac;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.jspecify.annotations.Nullable;

/**
 * A file of encrypted frames.
 *
 * <p>It begins with a header in clear text: magic, version, purpose, id of the data key, 16 bytes of salt, 8 bytes that
 * tell whether a key is the right one, CRC. Frames are encrypted with AES-256-GCM under a key derived from the data key
 * and the salt, so that random nonces of one file never meet those of another. A frame is bound to its place in the
 * file: it is authenticated together with its header and offset.
 *
 * <p>Checksums tell an accident from a wrong key. Each frame also says how much of the file was on stable storage when
 * it was written. That tells a torn tail from damage: what follows the last such promise may be missing, what lies
 * before it may not.
 *
 * <p>Frame: magic u16, type u8, zero u8, length u32 of the sealed bytes, synced u64, CRC32C u32 of these and the
 * offset; nonce 12, ciphertext, tag 16 (length counts these three); CRC32C u32 of the sealed bytes. All big endian.
 */
final class SealedFile implements Closeable {
    static final int FRAME_HEADER_BYTES = 20;
    static final int FRAME_OVERHEAD_BYTES = FRAME_HEADER_BYTES + 12 + 16 + 4;

    /** No frame is longer, so that a damaged length is not believed. */
    static final int FRAME_BYTES_MAX = 64 << 20;

    private static final long MAGIC = 0x534b_4550_5241_4654L;
    private static final byte VERSION = 1;
    private static final short FRAME_MAGIC = (short) 0xa5e9;
    private static final int SALT_BYTES = 16;
    private static final int CHECK_BYTES = 8;
    private static final int NONCE_BYTES = 12;
    private static final int TAG_BYTES = 16;
    private static final SecureRandom RANDOM = new SecureRandom();

    /** What a file holds; the number is part of the format. */
    enum Purpose {
        LOG(1),
        SNAPSHOT(2);

        private final int number;

        Purpose(int number) {
            this.number = number;
        }
    }

    /**
     * A frame that was read.
     *
     * @param offset where it begins
     * @param end where the next one begins
     */
    record Frame(long offset, long end, int type, ByteString payload) {}

    /** Bytes that are no frame, and why. */
    static final class BadFrameException extends Exception {
        BadFrameException(String message) {
            super(message);
        }
    }

    private final DiskFile file;
    private final String where;
    private final String keyId;
    private final SecretKeySpec key;
    private final int headerBytes;
    private final Cipher cipher;
    private long size;
    private long synced;

    private SealedFile(DiskFile file, String where, String keyId, SecretKeySpec key, int headerBytes, long size) {
        this.file = file;
        this.where = where;
        this.keyId = keyId;
        this.key = key;
        this.headerBytes = headerBytes;
        this.size = size;
        try {
            this.cipher = Cipher.getInstance("AES/GCM/NoPadding");
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("this Java runtime lacks AES/GCM", e);
        }
    }

    /** Makes a file with a header and nothing else, not yet on stable storage. */
    static SealedFile create(Disk disk, String name, Purpose purpose, DataKey dataKey) throws IOException {
        byte[] id = dataKey.id().getBytes(StandardCharsets.UTF_8);
        if (id.length < 1 || id.length > 64) {
            throw new IllegalArgumentException("the id of a data key has 1 to 64 bytes: " + dataKey.id());
        }
        byte[] salt = new byte[SALT_BYTES];
        RANDOM.nextBytes(salt);
        SecretKeySpec key = derive(dataKey, salt);
        ByteBuffer header = ByteBuffer.allocate(headerBytes(id.length));
        header.putLong(MAGIC).put(VERSION).put((byte) purpose.number).put((byte) id.length);
        header.put(id).put(salt).put(check(key));
        header.putInt(checksum(header.array(), 0, header.position(), 0)).flip();
        int length = header.remaining();
        DiskFile file = disk.create(name);
        try {
            file.append(header);
        } catch (IOException e) {
            file.close();
            throw e;
        }
        return new SealedFile(file, disk.describe(name), dataKey.id(), key, length, length);
    }

    /**
     * Opens a file and reads its header.
     *
     * @throws RaftStorageException DAMAGED or WRONG_KEY
     */
    static SealedFile open(Disk disk, String name, Purpose purpose, KeyRing keys) throws IOException {
        DiskFile file = disk.open(name);
        try {
            return open(file, disk.describe(name), purpose, keys);
        } catch (IOException | RuntimeException e) {
            file.close();
            throw e;
        }
    }

    private static SealedFile open(DiskFile file, String where, Purpose purpose, KeyRing keys) throws IOException {
        ByteBuffer header = ByteBuffer.allocate(headerBytes(64));
        file.read(0, header);
        header.flip();
        if (header.remaining() < headerBytes(1) || header.getLong() != MAGIC) {
            throw damaged(where, 0, "it does not begin as a file of the log does");
        }
        byte version = header.get();
        byte number = header.get();
        int idLength = header.get();
        if (idLength < 1 || idLength > 64 || header.limit() < headerBytes(idLength)) {
            throw damaged(where, 10, "its header is cut off or overwritten");
        }
        int length = headerBytes(idLength);
        if (header.getInt(length - 4) != checksum(header.array(), 0, length - 4, 0)) {
            throw damaged(where, 0, "the checksum of its header is wrong");
        }
        if (version != VERSION) {
            throw new RaftStorageException(
                    Reason.UNEXPECTED,
                    where + " has format " + version + ", this version reads " + VERSION
                            + ": start the version that wrote it");
        }
        if (number != purpose.number) {
            throw damaged(where, 9, "it holds something else than its name says");
        }
        byte[] id = new byte[idLength];
        byte[] salt = new byte[SALT_BYTES];
        byte[] check = new byte[CHECK_BYTES];
        header.get(id).get(salt).get(check);
        String keyId = new String(id, StandardCharsets.UTF_8);
        DataKey dataKey = keys.find(keyId);
        if (dataKey == null) {
            throw new RaftStorageException(
                    Reason.WRONG_KEY,
                    where + " was encrypted with the key \"" + keyId + "\", which this manager does not have."
                            + " Its log is whole: bring back the key file that belongs to it");
        }
        SecretKeySpec key = derive(dataKey, salt);
        if (!MessageDigest.isEqual(check, check(key))) {
            throw new RaftStorageException(
                    Reason.WRONG_KEY,
                    where + " was encrypted with another key than the \"" + keyId + "\" that this manager has."
                            + " Its log is whole: bring back the key file that belongs to it");
        }
        return new SealedFile(file, where, keyId, key, length, file.size());
    }

    /** Returns the exception for bytes that are not what was written. */
    static RaftStorageException damaged(String where, long offset, String reason) {
        return new RaftStorageException(
                Reason.DAMAGED,
                where + " is damaged at offset " + offset + ": " + reason
                        + ". This manager must not go on with it, for it may have forgotten what it promised to others."
                        + " If other managers run: take this one out (docker node demote or docker node rm there,"
                        + " docker swarm leave --force here), which removes the directory, and join it again as a"
                        + " manager. If it was the only one: docker swarm init --force-new-cluster keeps what can"
                        + " still be read");
    }

    String where() {
        return where;
    }

    String keyId() {
        return keyId;
    }

    int headerBytes() {
        return headerBytes;
    }

    /** Returns the number of bytes in the file, written or on stable storage. */
    long size() {
        return size;
    }

    /** Appends a frame; it is on stable storage after the next {@link #sync()}. */
    void append(int type, byte[] payload) throws IOException {
        byte[] nonce = new byte[NONCE_BYTES];
        RANDOM.nextBytes(nonce);
        int sealedBytes = NONCE_BYTES + payload.length + TAG_BYTES;
        ByteBuffer frame = ByteBuffer.allocate(FRAME_HEADER_BYTES + sealedBytes + 4);
        frame.putShort(FRAME_MAGIC)
                .put((byte) type)
                .put((byte) 0)
                .putInt(sealedBytes)
                .putLong(synced);
        frame.putInt(checksum(frame.array(), 0, FRAME_HEADER_BYTES - 4, size));
        frame.put(nonce);
        try {
            start(Cipher.ENCRYPT_MODE, nonce, frame.array(), 0, size);
            int count = cipher.doFinal(payload, 0, payload.length, frame.array(), frame.position());
            frame.position(frame.position() + count);
        } catch (GeneralSecurityException e) {
            throw new IOException("cannot encrypt a frame of " + where, e);
        }
        frame.putInt(checksum(frame.array(), FRAME_HEADER_BYTES, sealedBytes, 0));
        frame.flip();
        int length = frame.remaining();
        file.append(frame);
        size += length;
    }

    void sync() throws IOException {
        file.sync();
        synced = size;
    }

    /** Cuts the file, and makes that last. */
    void truncate(long newSize) throws IOException {
        file.truncate(newSize);
        file.sync();
        size = newSize;
        synced = newSize;
    }

    /** Says that all that the file holds was found whole and is on stable storage. */
    void trustAll() {
        synced = size;
    }

    byte[] readAll() throws IOException {
        if (size > Integer.MAX_VALUE - 16) {
            throw damaged(where, 0, "it has " + size + " bytes, more than is ever written");
        }
        ByteBuffer all = ByteBuffer.allocate((int) size);
        int count = file.read(0, all);
        return count == all.capacity() ? all.array() : Arrays.copyOf(all.array(), count);
    }

    /** Reads the frame at an offset, of at most that many bytes. */
    Frame read(long offset, int frameBytesMax) throws IOException, BadFrameException {
        ByteBuffer bytes = ByteBuffer.allocate((int) Math.min(frameBytesMax, Math.max(0, size - offset)));
        int count = file.read(offset, bytes);
        return decode(bytes.array(), 0, count, offset);
    }

    /**
     * Decodes the frame that begins at a position of a buffer.
     *
     * @param offset where that is in the file
     */
    Frame decode(byte[] bytes, int position, int limit, long offset) throws BadFrameException {
        String problem = problem(bytes, position, limit, offset);
        if (problem != null) {
            throw new BadFrameException(problem);
        }
        ByteBuffer frame = ByteBuffer.wrap(bytes, position, limit - position);
        int type = frame.get(position + 2);
        int sealedBytes = frame.getInt(position + 4);
        int from = position + FRAME_HEADER_BYTES;
        byte[] nonce = Arrays.copyOfRange(bytes, from, from + NONCE_BYTES);
        try {
            start(Cipher.DECRYPT_MODE, nonce, bytes, position, offset);
            byte[] payload = cipher.doFinal(bytes, from + NONCE_BYTES, sealedBytes - NONCE_BYTES);
            return new Frame(offset, offset + FRAME_HEADER_BYTES + sealedBytes + 4, type, ByteString.copyFrom(payload));
        } catch (AEADBadTagException e) {
            throw new BadFrameException("a record was altered by someone who does not have the key");
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("cannot decrypt " + where, e);
        }
    }

    /** Returns whether a whole frame begins there that was written when more than {@code offset} bytes were synced. */
    static boolean promises(byte[] bytes, int position, long offset) {
        return problem(bytes, position, bytes.length, position) == null
                && ByteBuffer.wrap(bytes).getLong(position + 8) > offset;
    }

    private static @Nullable String problem(byte[] bytes, int position, int limit, long offset) {
        int remaining = limit - position;
        if (remaining < FRAME_HEADER_BYTES) {
            return "the last record is cut off in its header";
        }
        ByteBuffer frame = ByteBuffer.wrap(bytes);
        if (frame.getShort(position) != FRAME_MAGIC
                || frame.getInt(position + FRAME_HEADER_BYTES - 4)
                        != checksum(bytes, position, FRAME_HEADER_BYTES - 4, offset)) {
            return "the header of a record is wrong";
        }
        int sealedBytes = frame.getInt(position + 4);
        if (sealedBytes < NONCE_BYTES + TAG_BYTES || sealedBytes > FRAME_BYTES_MAX) {
            return "the length of a record is impossible";
        }
        if (remaining < FRAME_HEADER_BYTES + sealedBytes + 4) {
            return "the last record is cut off";
        }
        int from = position + FRAME_HEADER_BYTES;
        return frame.getInt(from + sealedBytes) == checksum(bytes, from, sealedBytes, 0)
                ? null
                : "the checksum of a record is wrong";
    }

    @Override
    public void close() throws IOException {
        file.close();
    }

    private void start(int mode, byte[] nonce, byte[] header, int position, long offset)
            throws GeneralSecurityException {
        cipher.init(mode, key, new GCMParameterSpec(TAG_BYTES * 8, nonce));
        cipher.updateAAD(header, position, FRAME_HEADER_BYTES - 4);
        cipher.updateAAD(ByteBuffer.allocate(8).putLong(0, offset));
    }

    private static int headerBytes(int idLength) {
        return 8 + 1 + 1 + 1 + idLength + SALT_BYTES + CHECK_BYTES + 4;
    }

    private static int checksum(byte[] bytes, int from, int length, long offset) {
        CRC32C crc = new CRC32C();
        crc.update(bytes, from, length);
        crc.update(ByteBuffer.allocate(8).putLong(0, offset));
        return (int) crc.getValue();
    }

    private static SecretKeySpec derive(DataKey dataKey, byte[] salt) {
        byte[] label = "skep raft file".getBytes(StandardCharsets.UTF_8);
        return new SecretKeySpec(mac(dataKey.secret().toByteArray(), label, salt), "AES");
    }

    private static byte[] check(SecretKeySpec key) {
        return Arrays.copyOf(mac(key.getEncoded(), "check".getBytes(StandardCharsets.UTF_8), new byte[0]), CHECK_BYTES);
    }

    private static byte[] mac(byte[] secret, byte[] label, byte[] salt) {
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(secret, "HmacSHA256"));
            mac.update(label);
            return mac.doFinal(salt);
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("this Java runtime lacks HmacSHA256", e);
        }
    }
}
