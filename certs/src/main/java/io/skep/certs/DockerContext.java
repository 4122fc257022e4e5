package io.skep.certs;

import com.google.protobuf.ByteString;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A file that {@code docker context import} takes: a tar archive with {@code meta.json} and the client's certificate,
 * key and authority.
 */
final class DockerContext {
    private static final String META = "meta.json";
    private static final String TLS = "tls/docker/";
    private static final int BLOCK = 512;

    private DockerContext() {}

    /**
     * Makes the archive.
     *
     * @param name the context's name, which import may override; of the characters that {@link HostsFile} allows
     * @param host such as {@code tcp://10.0.0.1:2376}
     */
    static byte[] encode(String name, String description, String host, ByteString ca, ByteString cert, ByteString key) {
        String meta = "{\"Name\":\"" + name + "\",\"Metadata\":{\"Description\":\"" + description
                + "\"},\"Endpoints\":{\"docker\":{\"Host\":\"" + host + "\",\"SkipTLSVerify\":false}}}";
        Map<String, ByteString> files = new LinkedHashMap<>();
        files.put(META, ByteString.copyFromUtf8(meta));
        files.put("tls/", ByteString.EMPTY);
        files.put(TLS, ByteString.EMPTY);
        files.put(TLS + "ca.pem", ca);
        files.put(TLS + "cert.pem", cert);
        files.put(TLS + "key.pem", key);
        return encode(files);
    }

    /** The same archive with other certificates; host and name stay as they are. */
    static byte[] withCertificates(ByteString archive, String what, ByteString ca, ByteString cert, ByteString key)
            throws CredentialException {
        Map<String, ByteString> files = decode(archive, what);
        files.put(TLS + "ca.pem", ca);
        files.put(TLS + "cert.pem", cert);
        files.put(TLS + "key.pem", key);
        return encode(files);
    }

    private static byte[] encode(Map<String, ByteString> files) {
        ByteString.Output out = ByteString.newOutput();
        files.forEach((name, content) -> {
            byte[] header = header(name, content.size());
            out.write(header, 0, header.length);
            out.write(content.toByteArray(), 0, content.size());
            int padding = (BLOCK - content.size() % BLOCK) % BLOCK;
            out.write(new byte[padding], 0, padding);
        });
        out.write(new byte[2 * BLOCK], 0, 2 * BLOCK);
        return out.toByteString().toByteArray();
    }

    private static byte[] header(String name, int size) {
        boolean folder = name.endsWith("/");
        byte[] header = new byte[BLOCK];
        put(header, 0, name);
        put(header, 100, folder ? "0000700" : "0000600");
        put(header, 108, "0000000");
        put(header, 116, "0000000");
        put(header, 124, "%011o".formatted(size));
        put(header, 136, "00000000000");
        put(header, 148, "        ");
        put(header, 156, folder ? "5" : "0");
        put(header, 257, "ustar\00000");
        int sum = 0;
        for (byte b : header) {
            sum += b & 0xff;
        }
        put(header, 148, "%06o\0 ".formatted(sum));
        return header;
    }

    private static void put(byte[] header, int offset, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
        System.arraycopy(bytes, 0, header, offset, bytes.length);
    }

    private static Map<String, ByteString> decode(ByteString archive, String what) throws CredentialException {
        Map<String, ByteString> files = new LinkedHashMap<>();
        byte[] bytes = archive.toByteArray();
        int at = 0;
        while (at + BLOCK <= bytes.length && bytes[at] != 0) {
            try {
                String name = text(bytes, at, 100);
                int size = Integer.parseInt(text(bytes, at + 124, 12).strip(), 8);
                if (size < 0) {
                    throw new IllegalArgumentException("negative size");
                }
                int start = at + BLOCK;
                files.put(name, archive.substring(start, Math.addExact(start, size)));
                at = Math.addExact(start, (size + BLOCK - 1) / BLOCK * BLOCK);
            } catch (IllegalArgumentException | ArithmeticException | IndexOutOfBoundsException e) {
                throw new CredentialException(what + " is no docker context; remove it and make the client anew", e);
            }
        }
        if (!files.containsKey(META)) {
            throw new CredentialException(what + " is no docker context; remove it and make the client anew");
        }
        return files;
    }

    private static String text(byte[] bytes, int offset, int length) {
        int end = offset;
        while (end < offset + length && bytes[end] != 0) {
            end++;
        }
        return new String(Arrays.copyOfRange(bytes, offset, end), StandardCharsets.US_ASCII);
    }
}
