package io.skep.raft;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;

/** One directory of files: what the log needs of a file system, so that tests can put a failing one in its place. */
interface Disk extends Closeable {
    /** Names it in messages to the operator. */
    String describe(String name);

    List<String> list() throws IOException;

    /** Makes an empty file; one of that name is emptied. */
    DiskFile create(String name) throws IOException;

    DiskFile open(String name) throws IOException;

    /** Gives a file another name, at once or not at all; replaces a file of that name. */
    void rename(String from, String to) throws IOException;

    void delete(String name) throws IOException;

    /** Returns once names made, changed and deleted so far survive a loss of power. */
    void syncDirectory() throws IOException;

    @Override
    void close() throws IOException;

    /** An open file. */
    interface DiskFile extends Closeable {
        long size() throws IOException;

        /** Reads until the buffer is full or the file ends; returns the number of bytes. */
        int read(long position, ByteBuffer into) throws IOException;

        /** Writes the whole buffer behind the last byte. */
        void append(ByteBuffer bytes) throws IOException;

        void truncate(long size) throws IOException;

        /** Returns once content and size survive a loss of power. */
        void sync() throws IOException;

        @Override
        void close() throws IOException;
    }
}
