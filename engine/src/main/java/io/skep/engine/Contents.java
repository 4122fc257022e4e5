package io.skep.engine;

import com.google.protobuf.ByteString;
import com.google.protobuf.FieldMask;
import io.grpc.ClientInterceptor;
import io.grpc.Context;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.BlockingClientCall;
import io.skep.containerd.content.AbortRequest;
import io.skep.containerd.content.Info;
import io.skep.containerd.content.InfoRequest;
import io.skep.containerd.content.InfoResponse;
import io.skep.containerd.content.ListContentRequest;
import io.skep.containerd.content.ListContentResponse;
import io.skep.containerd.content.ReadContentRequest;
import io.skep.containerd.content.ReadContentResponse;
import io.skep.containerd.content.StatusRequest;
import io.skep.containerd.content.UpdateRequest;
import io.skep.containerd.content.WriteAction;
import io.skep.containerd.content.WriteContentRequest;
import io.skep.containerd.content.WriteContentResponse;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import java.util.Optional;

/**
 * The blobs that containerd keeps: manifests, configurations and layers, each named by its digest.
 *
 * <p>A blob is there as a whole or not at all: containerd compares digest and size before it takes a blob in, and keeps
 * what came of an upload that broke off under its reference, so that the next one goes on from there.
 */
final class Contents {
    private static final int CHUNK_BYTES = 1 << 20;

    private final Containerd containerd;

    Contents(Containerd containerd) {
        this.containerd = containerd;
    }

    /** Whether the blob is there. */
    boolean has(String digest) {
        return info(digest).isPresent();
    }

    /** Returns size and labels of a blob, if it is there. */
    Optional<Info> info(String digest) {
        InfoRequest request = InfoRequest.newBuilder().setDigest(digest).build();
        return Containerd.found(() -> containerd.content().info(request)).map(InfoResponse::getInfo);
    }

    /** Returns the digests of all blobs that are there, with their sizes in bytes. */
    Map<String, Long> sizes() {
        Map<String, Long> sizes = new HashMap<>();
        Iterator<ListContentResponse> parts = containerd.content().list(ListContentRequest.getDefaultInstance());
        while (parts.hasNext()) {
            for (Info info : parts.next().getInfoList()) {
                sizes.put(info.getDigest(), info.getSize());
            }
        }
        return sizes;
    }

    /** Adds labels to a blob; those it has stay. */
    void label(String digest, Map<String, String> labels) {
        FieldMask.Builder mask = FieldMask.newBuilder();
        labels.keySet().forEach(key -> mask.addPaths("labels." + key));
        var _ = containerd
                .content()
                .update(UpdateRequest.newBuilder()
                        .setInfo(Info.newBuilder().setDigest(digest).putAllLabels(labels))
                        .setUpdateMask(mask)
                        .build());
    }

    /** Returns how much of an upload is there already, in bytes; 0 when there is none. */
    long uploaded(String reference) {
        StatusRequest request = StatusRequest.newBuilder().setRef(reference).build();
        return Containerd.found(() -> containerd.content().status(request))
                .map(answer -> answer.getStatus().getOffset())
                .orElse(0L);
    }

    /**
     * Takes in a blob.
     *
     * @param reference names the upload, for one that breaks off to be taken up again
     * @param offset where the bytes of {@code in} belong; what {@link #uploaded} said
     * @param size of the whole blob, in bytes
     * @param labels kept with the blob; containerd's collector follows some of them
     * @param lease keeps the blob from being collected until something refers to it
     * @throws IOException when the bytes cannot be read, are not those of the digest, or cannot be stored
     */
    void write(
            String reference,
            String digest,
            long offset,
            long size,
            InputStream in,
            Map<String, String> labels,
            ClientInterceptor lease)
            throws IOException, InterruptedException {
        if (has(digest)) {
            return;
        }
        BlockingClientCall<WriteContentRequest, WriteContentResponse> call =
                containerd.uploads().withInterceptors(lease).write();
        try {
            WriteContentRequest upload = WriteContentRequest.newBuilder()
                    .setRef(reference)
                    .setTotal(size)
                    .setExpected(digest)
                    .build();
            long end = send(call, upload, in, offset);
            commit(call, upload.toBuilder().putAllLabels(labels), end);
            call.halfClose();
        } catch (StatusException e) {
            if (e.getStatus().getCode() == Status.Code.ALREADY_EXISTS) {
                return;
            }
            throw failure(digest, reference, e);
        } finally {
            call.cancel("the upload is over", null);
        }
    }

    /** What was stored. */
    record Stored(String digest, long size) {}

    /** Takes in a blob whose digest is not known before. */
    Stored write(String reference, InputStream in, ClientInterceptor lease) throws IOException, InterruptedException {
        MessageDigest sha256 = Digests.sha256();
        BlockingClientCall<WriteContentRequest, WriteContentResponse> call =
                containerd.uploads().withInterceptors(lease).write();
        try {
            WriteContentRequest upload =
                    WriteContentRequest.newBuilder().setRef(reference).build();
            long size = send(call, upload, new DigestInputStream(in, sha256), 0);
            String digest = Digests.name(sha256.digest());
            try {
                commit(call, upload.toBuilder().setTotal(size).setExpected(digest), size);
            } catch (StatusException e) {
                if (e.getStatus().getCode() != Status.Code.ALREADY_EXISTS) {
                    throw e;
                }
            }
            call.halfClose();
            return new Stored(digest, size);
        } catch (StatusException e) {
            throw failure("", reference, e);
        } finally {
            call.cancel("the upload is over", null);
        }
    }

    /**
     * Sends all that there is.
     *
     * @param upload what each piece says of the whole
     * @param offset where the bytes belong
     * @return where they end
     */
    private static long send(
            BlockingClientCall<WriteContentRequest, WriteContentResponse> call,
            WriteContentRequest upload,
            InputStream in,
            long offset)
            throws IOException, StatusException, InterruptedException {
        long at = offset;
        byte[] chunk = new byte[CHUNK_BYTES];
        int length;
        while ((length = in.readNBytes(chunk, 0, chunk.length)) > 0) {
            send(
                    call,
                    upload.toBuilder()
                            .setAction(WriteAction.WRITE)
                            .setOffset(at)
                            .setData(ByteString.copyFrom(chunk, 0, length))
                            .build());
            at += length;
        }
        return at;
    }

    private static void commit(
            BlockingClientCall<WriteContentRequest, WriteContentResponse> call,
            WriteContentRequest.Builder upload,
            long offset)
            throws StatusException, InterruptedException {
        send(call, upload.setAction(WriteAction.COMMIT).setOffset(offset).build());
    }

    private static void send(
            BlockingClientCall<WriteContentRequest, WriteContentResponse> call, WriteContentRequest request)
            throws StatusException, InterruptedException {
        if (!call.write(request)) {
            // The call has ended; reading says why.
            call.read();
            throw Status.UNAVAILABLE
                    .withDescription("containerd ended the upload")
                    .asException();
        }
        if (call.read() == null) {
            throw Status.UNAVAILABLE
                    .withDescription("containerd ended the upload")
                    .asException();
        }
    }

    private IOException failure(String digest, String reference, StatusException e) {
        if (e.getStatus().getCode() == Status.Code.FAILED_PRECONDITION) {
            // What was sent is wrong for good: the next try must begin anew.
            abort(reference);
        }
        return new IOException(
                "content " + digest + (digest.isEmpty() ? "" : " ") + "was not stored: "
                        + e.getStatus().getDescription(),
                e);
    }

    /** Forgets an upload. */
    void abort(String reference) {
        AbortRequest request = AbortRequest.newBuilder().setRef(reference).build();
        var _ = Containerd.found(() -> containerd.content().abort(request));
    }

    /**
     * Returns a small blob as a whole.
     *
     * @param max bytes, more are refused
     */
    byte[] read(String digest, int max) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        copy(digest, new OutputStream() {
            @Override
            public void write(int b) throws IOException {
                write(new byte[] {(byte) b}, 0, 1);
            }

            @Override
            public void write(byte[] bytes, int offset, int length) throws IOException {
                if (out.size() + length > max) {
                    throw new IOException("content " + digest + " is larger than " + max + " bytes");
                }
                out.write(bytes, offset, length);
            }
        });
        return out.toByteArray();
    }

    /** Returns the first bytes of a blob, fewer if it has not as many. */
    byte[] begin(String digest, int length) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        copy(ReadContentRequest.newBuilder().setDigest(digest).setSize(length).build(), out);
        return out.toByteArray();
    }

    /** Writes a blob to a stream. */
    void copy(String digest, OutputStream out) throws IOException {
        copy(ReadContentRequest.newBuilder().setDigest(digest).build(), out);
    }

    private void copy(ReadContentRequest request, OutputStream out) throws IOException {
        // Without it a reader that gives up would leave the call, and what waits in it, behind.
        Context.CancellableContext context = Context.current().withCancellation();
        Context before = context.attach();
        try {
            Iterator<ReadContentResponse> parts = containerd.content().read(request);
            while (parts.hasNext()) {
                parts.next().getData().writeTo(out);
            }
        } catch (StatusRuntimeException e) {
            throw new IOException(
                    "content " + request.getDigest() + " cannot be read: "
                            + e.getStatus().getDescription(),
                    e);
        } finally {
            context.detach(before);
            context.cancel(null);
        }
    }
}
