package io.skep.network;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Builds one request to the kernel: a header, a fixed part, attributes, which may hold others. */
final class NetlinkMessage {
    private static final int BYTES_MAX = 4096;
    private static final int HEADER_BYTES = 16;
    private static final int NESTED = 0x8000;

    private final ByteBuffer buffer = ByteBuffer.allocate(BYTES_MAX).order(ByteOrder.nativeOrder());

    NetlinkMessage(int type, int flags) {
        buffer.putInt(0)
                .putShort((short) type)
                .putShort((short) flags)
                .putInt(0)
                .putInt(0);
    }

    /** Appends a struct ifinfomsg. */
    NetlinkMessage link(int family, int index, int flags, int change) {
        buffer.put((byte) family)
                .put((byte) 0)
                .putShort((short) 0)
                .putInt(index)
                .putInt(flags)
                .putInt(change);
        return this;
    }

    NetlinkMessage bytes(int... bytes) {
        for (int each : bytes) {
            buffer.put((byte) each);
        }
        return this;
    }

    NetlinkMessage number(int number) {
        buffer.putInt(number);
        return this;
    }

    NetlinkMessage attribute(int type, byte[] value) {
        buffer.putShort((short) (4 + value.length)).putShort((short) type).put(value);
        return align();
    }

    NetlinkMessage attribute(int type, int value) {
        buffer.putShort((short) 8).putShort((short) type).putInt(value);
        return this;
    }

    NetlinkMessage attribute(int type, String text) {
        return attribute(type, (text + "\0").getBytes(StandardCharsets.UTF_8));
    }

    /** Begins an attribute that holds others; the result is for {@link #end}. */
    int begin(int type) {
        int at = buffer.position();
        buffer.putShort((short) 0).putShort((short) (type | NESTED));
        return at;
    }

    NetlinkMessage end(int at) {
        buffer.putShort(at, (short) (buffer.position() - at));
        return align();
    }

    private NetlinkMessage align() {
        while (buffer.position() % 4 != 0) {
            buffer.put((byte) 0);
        }
        return this;
    }

    byte[] finish(int sequence) {
        buffer.putInt(0, buffer.position()).putInt(8, sequence);
        return Arrays.copyOf(buffer.array(), Math.max(HEADER_BYTES, buffer.position()));
    }
}
