package io.skep.daemon;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/** Certificates made with openssl, as Docker documents it, each owner's in a folder of its own. */
final class TestCertificates {
    private final Path folder;

    /** Makes a CA. */
    TestCertificates(Path folder) throws IOException, InterruptedException {
        this.folder = Files.createDirectories(folder);
        openssl(
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "3",
                "-subj",
                "/CN=ca of " + folder.getFileName(),
                "-keyout",
                "ca-key.pem",
                "-out",
                "ca.pem");
    }

    /** Makes a server's certificate for localhost and returns its folder. */
    Path server(String name, int days) throws IOException, InterruptedException {
        return issue(name, days, "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n");
    }

    /** Makes a client's certificate, expired when the days are negative, and returns its folder. */
    Path client(String name, int days) throws IOException, InterruptedException {
        return issue(name, days, "extendedKeyUsage=clientAuth\n");
    }

    /** Returns a folder with nothing but the CA, for a client without certificate. */
    Path stranger() throws IOException {
        Path owner = Files.createDirectories(folder.resolve("stranger"));
        Files.copy(folder.resolve("ca.pem"), owner.resolve("ca.pem"), StandardCopyOption.REPLACE_EXISTING);
        return owner;
    }

    Path ca() {
        return folder.resolve("ca.pem");
    }

    private Path issue(String name, int days, String extensions) throws IOException, InterruptedException {
        Path owner = Files.createDirectories(folder.resolve(name));
        Files.writeString(folder.resolve("extensions"), extensions);
        openssl(
                "req",
                "-new",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-subj",
                "/CN=" + name,
                "-keyout",
                name + "/key.pem",
                "-out",
                name + "/request.pem");
        openssl(
                "x509",
                "-req",
                "-in",
                name + "/request.pem",
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca-key.pem",
                "-CAcreateserial",
                "-days",
                Integer.toString(days),
                "-extfile",
                "extensions",
                "-out",
                name + "/cert.pem");
        Files.copy(folder.resolve("ca.pem"), owner.resolve("ca.pem"), StandardCopyOption.REPLACE_EXISTING);
        return owner;
    }

    private void openssl(String... arguments) throws IOException, InterruptedException {
        String[] command = new String[arguments.length + 1];
        command[0] = "openssl";
        System.arraycopy(arguments, 0, command, 1, arguments.length);
        Process process = new ProcessBuilder(command)
                .directory(folder.toFile())
                .redirectErrorStream(true)
                .start();
        process.getOutputStream().close();
        String output = new String(process.getInputStream().readAllBytes(), java.nio.charset.StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as(output).isZero();
    }
}
