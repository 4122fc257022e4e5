package io.skep.api;

import com.google.protobuf.ByteString;
import io.skep.engine.Container;
import io.skep.engine.ContainerFiles;
import io.skep.engine.ContainerFiles.PathStat;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.util.Arrays;
import java.util.Base64;
import java.util.Map;
import java.util.zip.GZIPInputStream;

/** The files of containers: {@code docker cp}, {@code docker diff} and {@code docker export}. */
final class ContainerFileEndpoints {
    private static final String STAT_HEADER = "X-Docker-Container-Path-Stat";
    private static final String TAR = "application/x-tar";
    private static final int CHUNK_BYTES = 64 << 10;
    private static final int MAGIC_BYTES = 6;

    private final EngineGate gate;

    ContainerFileEndpoints(EngineGate gate) {
        this.gate = gate;
    }

    void addTo(Router router) {
        router.add("HEAD", "/containers/{id}/archive", this::stat);
        router.add("GET", "/containers/{id}/archive", this::read);
        router.addStreamed("PUT", "/containers/{id}/archive", this::write);
        router.add("GET", "/containers/{id}/changes", this::changes);
        router.add("GET", "/containers/{id}/export", this::export);
    }

    private Container container(Call call) {
        return gate.containers().require(call.path("id"));
    }

    private Reply stat(Call call) {
        PathStat stat = container(call).files().stat(call.query("path"));
        return new Reply.Whole(200, "", ByteString.EMPTY, header(stat));
    }

    private static Map<String, String> header(PathStat stat) {
        byte[] json = JsonOut.object(out -> {
            out.text("name", stat.name());
            out.number("size", stat.sizeBytes());
            out.number("mode", stat.mode());
            out.text("mtime", stat.modified().toString());
            out.text("linkTarget", stat.linkTarget());
        });
        return Map.of(STAT_HEADER, Base64.getEncoder().encodeToString(json));
    }

    private Reply read(Call call) {
        ContainerFiles files = container(call).files();
        String path = call.query("path");
        PathStat stat = files.stat(path);
        return new Reply.Streamed(
                200,
                TAR,
                header(stat),
                out -> files.read(path, (now, source) -> {
                    try (OutputStream pieces = pieces(out)) {
                        source.writeTo(pieces);
                    }
                }));
    }

    /** Returns a stream whose writes go out as pieces of the answer. */
    private static OutputStream pieces(ResponseStream out) {
        return new BufferedOutputStream(
                new OutputStream() {
                    @Override
                    public void write(int one) throws IOException {
                        write(new byte[] {(byte) one}, 0, 1);
                    }

                    @Override
                    public void write(byte[] bytes, int offset, int length) throws IOException {
                        try {
                            out.write(Arrays.copyOfRange(bytes, offset, offset + length));
                        } catch (InterruptedException e) {
                            Thread.currentThread().interrupt();
                            throw new InterruptedIOException("the engine is stopping");
                        }
                    }
                },
                CHUNK_BYTES);
    }

    private Reply write(Call call) throws IOException {
        ContainerFiles files = container(call).files();
        try (InputStream archive = unpacked(call.input())) {
            files.write(call.query("path"), archive, call.flag("noOverwriteDirNonDir"));
        }
        return Reply.empty(200);
    }

    private static InputStream unpacked(InputStream body) throws IOException {
        InputStream in = new BufferedInputStream(body);
        in.mark(MAGIC_BYTES);
        byte[] magic = in.readNBytes(MAGIC_BYTES);
        in.reset();
        if (starts(magic, 0x1f, 0x8b)) {
            return new GZIPInputStream(in);
        }
        if (starts(magic, 'B', 'Z', 'h') || starts(magic, 0xfd, '7', 'z', 'X', 'Z')) {
            throw new ApiException(400, "the archive is packed with bzip2 or xz: send it as it is or packed with gzip");
        }
        return in;
    }

    private static boolean starts(byte[] begin, int... bytes) {
        for (int i = 0; i < bytes.length; i++) {
            if (begin.length <= i || (begin[i] & 0xff) != bytes[i]) {
                return false;
            }
        }
        return true;
    }

    private Reply changes(Call call) {
        return Reply.json(RecordJson.array(container(call).files().changes()));
    }

    private Reply export(Call call) {
        ContainerFiles files = container(call).files();
        return new Reply.Streamed(200, "application/octet-stream", out -> {
            try (OutputStream pieces = pieces(out)) {
                files.export(pieces);
            }
        });
    }
}
