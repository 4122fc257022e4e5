package io.skep.certs;

import com.google.protobuf.ByteString;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The folder that lets one person command engines with the stock docker CLI: certificates under Docker's names, scripts
 * that point a shell at the first engine, and a docker context for each engine.
 */
final class ClientBundle {
    static final String AUTHORITY = "ca.pem";
    static final String CERTIFICATE = "cert.pem";
    static final String KEY = "key.pem";

    private static final String CONTEXT_SUFFIX = ".dockercontext";

    /** An engine to command, and what its context is called. */
    record Target(String name, HostAddress address, int port) {
        String host() {
            return "tcp://" + address.inUrl() + ":" + port;
        }
    }

    private ClientBundle() {}

    /**
     * Writes a whole bundle.
     *
     * @param targets at least one; the scripts point at the first
     */
    static void write(Path folder, List<Target> targets, ByteString ca, ByteString cert, ByteString key)
            throws IOException {
        PrivateFiles.createFolder(folder);
        PrivateFiles.write(folder.resolve(AUTHORITY), ca.toByteArray(), PrivateFiles.Readers.EVERYONE);
        PrivateFiles.write(folder.resolve(CERTIFICATE), cert.toByteArray(), PrivateFiles.Readers.EVERYONE);
        PrivateFiles.write(folder.resolve(KEY), key.toByteArray(), PrivateFiles.Readers.OWNER);
        Target first = targets.getFirst();
        writeText(folder.resolve("env.sh"), shell(first));
        writeText(folder.resolve("env.ps1"), powershell(first));
        for (Target target : targets) {
            PrivateFiles.write(
                    folder.resolve(target.name + CONTEXT_SUFFIX),
                    DockerContext.encode(target.name, "made by skep certs", target.host(), ca, cert, key),
                    PrivateFiles.Readers.OWNER);
        }
    }

    /** Puts the certificates that now lie in the folder into its contexts. */
    static void refreshContexts(Path folder) throws IOException, CredentialException {
        ByteString ca = TlsMaterial.read(folder.resolve(AUTHORITY));
        ByteString cert = TlsMaterial.read(folder.resolve(CERTIFICATE));
        ByteString key = TlsMaterial.read(folder.resolve(KEY));
        for (Path context : contexts(folder)) {
            byte[] refreshed =
                    DockerContext.withCertificates(TlsMaterial.read(context), context.toString(), ca, cert, key);
            PrivateFiles.write(context, refreshed, PrivateFiles.Readers.OWNER);
        }
    }

    static List<Path> contexts(Path folder) throws IOException {
        List<Path> contexts = new ArrayList<>();
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, "*" + CONTEXT_SUFFIX)) {
            files.forEach(contexts::add);
        }
        contexts.sort(null);
        return contexts;
    }

    private static String shell(Target target) {
        return """
                # Points the docker command of this shell at %1$s.
                # bash, zsh: source env.sh
                # other shells: change into this folder first, then: . ./env.sh
                DOCKER_CERT_PATH=$(CDPATH= cd -- "$(dirname -- "${BASH_SOURCE:-$0}")" && pwd)
                [ -f "$DOCKER_CERT_PATH/cert.pem" ] || DOCKER_CERT_PATH=$(pwd)
                DOCKER_HOST=%2$s
                DOCKER_TLS_VERIFY=1
                export DOCKER_CERT_PATH DOCKER_HOST DOCKER_TLS_VERIFY
                """.formatted(target.name, target.host());
    }

    private static String powershell(Target target) {
        return """
                # Points the docker command of this PowerShell at %1$s.
                # Run it with: . .\\env.ps1
                $Env:DOCKER_CERT_PATH = $PSScriptRoot
                $Env:DOCKER_HOST = "%2$s"
                $Env:DOCKER_TLS_VERIFY = "1"
                """.formatted(target.name, target.host());
    }

    private static void writeText(Path file, String text) throws IOException {
        PrivateFiles.write(file, text.getBytes(StandardCharsets.UTF_8), PrivateFiles.Readers.EVERYONE);
    }
}
