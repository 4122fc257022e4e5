package io.skep.engine;

import io.airlift.compress.v3.zstd.ZstdInputStream;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.zip.GZIPInputStream;

/** How a stream of bytes is packed, told from its beginning. */
enum Compression {
    NONE,
    GZIP,
    ZSTD;

    static final int MAGIC_BYTES = 4;
    private static final int BUFFER_BYTES = 64 << 10;

    static Compression of(byte[] beginning) {
        if (begins(beginning, 0x1f, 0x8b)) {
            return GZIP;
        }
        return begins(beginning, 0x28, 0xb5, 0x2f, 0xfd) ? ZSTD : NONE;
    }

    private static boolean begins(byte[] bytes, int... wanted) {
        if (bytes.length < wanted.length) {
            return false;
        }
        for (int i = 0; i < wanted.length; i++) {
            if ((bytes[i] & 0xff) != wanted[i]) {
                return false;
            }
        }
        return true;
    }

    /** Returns the bytes without compression. */
    static InputStream unpack(InputStream in) throws IOException {
        BufferedInputStream buffered = new BufferedInputStream(in, BUFFER_BYTES);
        buffered.mark(MAGIC_BYTES);
        byte[] beginning = buffered.readNBytes(MAGIC_BYTES);
        buffered.reset();
        return switch (of(beginning)) {
            case NONE -> buffered;
            case GZIP -> new GZIPInputStream(buffered, BUFFER_BYTES);
            case ZSTD -> new ZstdInputStream(buffered);
        };
    }
}
