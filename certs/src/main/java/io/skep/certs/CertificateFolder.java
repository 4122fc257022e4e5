package io.skep.certs;

import com.google.protobuf.ByteString;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.KeyPair;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.cert.CertificateParsingException;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The folder in which {@code skep certs} keeps the API's authority and everything it has certified.
 *
 * <pre>
 * ca.pem                    the authority's certificate, for everybody
 * ca-key.pem                its key: whoever has it commands every engine
 * machines/NAME/            ca.pem, server-cert.pem, server-key.pem, daemon.json: what one machine needs
 * machines/NAME/client/     a client bundle for that machine, if it was made as part of a fleet
 * clients/NAME/             a client bundle: ca.pem, cert.pem, key.pem, env.sh, env.ps1, *.dockercontext
 * </pre>
 *
 * <p>A machine's or client's folder appears whole or not at all, and nothing that exists is replaced unless the caller
 * says so. New keys of one that exists are written right before their certificate; an engine that reads the two in
 * between keeps what it has ({@link TlsMaterial#load} compares them), and after a crash in between renewing with new
 * keys once more mends it. Keys are 0600. One process at a time; not safe for use by many threads.
 */
public final class CertificateFolder {
    /** The name by which the authority itself is renewed. */
    public static final String AUTHORITY_NAME = "ca";

    /** How long an authority is valid unless the caller says otherwise. */
    public static final Duration AUTHORITY_VALIDITY = Duration.ofDays(3650);

    private static final String AUTHORITY_FILE = "ca.pem";
    private static final String AUTHORITY_KEY_FILE = "ca-key.pem";
    private static final String MACHINES = "machines";
    private static final String CLIENTS = "clients";
    private static final String CLIENT_OF_MACHINE = "client";
    private static final String SERVER_CERTIFICATE = "server-cert.pem";
    private static final String SERVER_KEY = "server-key.pem";
    private static final List<String> LOCAL_ADDRESSES = List.of("localhost", "127.0.0.1", "::1");

    /** Gives the passphrase of the authority's key when it is needed. */
    @FunctionalInterface
    public interface PassphraseSource {
        /**
         * Asks the user or reads it from where the user put it.
         *
         * @param keyFile the encrypted key, for the question
         */
        char[] passphrase(Path keyFile) throws CredentialException;
    }

    /** What a certificate is for. */
    public enum Kind {
        AUTHORITY,
        SERVER,
        CLIENT
    }

    /**
     * One certificate of the folder.
     *
     * @param addresses what the certificate may be called by; empty unless it is a server's
     */
    public record Entry(Kind kind, String name, List<String> addresses, X509Certificate certificate, Path file) {
        public Instant notAfter() {
            return certificate.getNotAfter().toInstant();
        }
    }

    private final Path folder;
    private final PassphraseSource passphrases;
    private final SecureRandom random = new SecureRandom();
    private @Nullable ApiCertificateAuthority authority;

    private CertificateFolder(Path folder, PassphraseSource passphrases) {
        this.folder = folder;
        this.passphrases = passphrases;
    }

    /**
     * Makes a new authority.
     *
     * @param rsa RSA of 3072 bits instead of ECDSA P-256
     * @param passphrase encrypts the authority's key; null leaves it readable for the owner of the file
     */
    public static CertificateFolder create(
            Path folder, boolean rsa, Duration validity, char @Nullable [] passphrase, Instant now)
            throws CredentialException, IOException {
        for (String file : List.of(AUTHORITY_FILE, AUTHORITY_KEY_FILE)) {
            if (Files.exists(folder.resolve(file))) {
                throw new CredentialException(folder.resolve(file) + " exists already; to begin anew move " + folder
                        + " away, or choose another folder with --dir");
            }
        }
        PrivateFiles.createFolder(folder);
        CertificateFolder created = new CertificateFolder(folder, keyFile -> {
            throw new CredentialException("the passphrase of " + keyFile + " is needed");
        });
        ApiCertificateAuthority made = ApiCertificateAuthority.create(keyType(rsa), validity, now);
        String key = passphrase == null
                ? PrivateKeys.encode(made.key())
                : PrivateKeys.encode(made.key(), passphrase, created.random);
        writeKey(folder.resolve(AUTHORITY_KEY_FILE), key);
        writePublic(folder.resolve(AUTHORITY_FILE), made.certificatePem());
        created.authority = made;
        return created;
    }

    /** Opens a folder that {@link #create} made, or one with an authority made elsewhere under Docker's file names. */
    public static CertificateFolder open(Path folder, PassphraseSource passphrases) throws CredentialException {
        if (!Files.isRegularFile(folder.resolve(AUTHORITY_FILE))) {
            throw new CredentialException("there is no authority in " + folder
                    + "; make one with: skep certs init, or name its folder with --dir");
        }
        return new CertificateFolder(folder, passphrases);
    }

    private static ApiCertificateAuthority.KeyType keyType(boolean rsa) {
        return rsa ? ApiCertificateAuthority.KeyType.RSA : ApiCertificateAuthority.KeyType.ECDSA;
    }

    /** The authority with its key; called before anything is written, as it fails on a wrong passphrase. */
    private ApiCertificateAuthority authority() throws CredentialException {
        ApiCertificateAuthority known = authority;
        if (known == null) {
            Path keyFile = folder.resolve(AUTHORITY_KEY_FILE);
            ByteString text = TlsMaterial.read(keyFile);
            PrivateKey key = PrivateKeys.isEncrypted(text, keyFile.toString())
                    ? PrivateKeys.parse(text, keyFile.toString(), passphrases.passphrase(keyFile))
                    : PrivateKeys.parse(text, keyFile.toString(), null);
            known = ApiCertificateAuthority.of(
                    readCertificate(folder.resolve(AUTHORITY_FILE)),
                    key,
                    folder.resolve(AUTHORITY_FILE).toString());
            authority = known;
        }
        return known;
    }

    /**
     * Certifies the engine of one machine.
     *
     * @param addresses by which clients call it; its name and the machine's own addresses for itself are added
     * @return the machine's folder
     */
    public Path addServer(String name, List<HostAddress> addresses, CertificateOptions options, Instant now)
            throws CredentialException, IOException {
        HostsFile.requireName(name);
        Path target = machine(name);
        requireAbsent(target, name, options);
        authority();
        Path staged = stage(target);
        writeServer(staged, name, addresses, options, now);
        publish(staged, target);
        return target;
    }

    /**
     * Certifies somebody who may command the engines.
     *
     * @param hosts machines of this folder by name, or addresses; empty for all machines of this folder
     * @return the client's folder
     */
    public Path addClient(String name, List<String> hosts, CertificateOptions options, Instant now)
            throws CredentialException, IOException {
        HostsFile.requireName(name);
        Path target = folder.resolve(CLIENTS).resolve(name);
        requireAbsent(target, name, options);
        List<ClientBundle.Target> targets = targets(hosts, options.port());
        authority();
        Path staged = stage(target);
        writeClient(staged, name, targets, options, now);
        publish(staged, target);
        return target;
    }

    /**
     * Certifies the engines of many machines, and for each a client. Machines that have certificates for the same
     * addresses already stay as they are; nothing is made unless all can be.
     *
     * @return the folders of those that were made now
     */
    public List<Path> addFleet(List<HostsFile.Machine> machines, CertificateOptions options, Instant now)
            throws CredentialException, IOException {
        List<HostsFile.Machine> wanted = new ArrayList<>();
        for (HostsFile.Machine machine : machines) {
            Path target = machine(machine.name());
            if (Files.notExists(target)) {
                wanted.add(machine);
            } else if (!isComplete(target, machine)) {
                if (!options.replace()) {
                    throw new CredentialException(target + " exists with other addresses or without a client;"
                            + " let it be replaced with --replace");
                }
                wanted.add(machine);
            }
        }
        List<Path> made = new ArrayList<>();
        if (!wanted.isEmpty()) {
            authority();
        }
        for (HostsFile.Machine machine : wanted) {
            Path target = machine(machine.name());
            Path staged = stage(target);
            writeServer(staged, machine.name(), machine.addresses(), options, now);
            writeClient(
                    staged.resolve(CLIENT_OF_MACHINE),
                    machine.name(),
                    List.of(new ClientBundle.Target(
                            machine.name(), machine.addresses().getFirst(), options.port())),
                    options,
                    now);
            publish(staged, target);
            made.add(target);
        }
        return made;
    }

    private boolean isComplete(Path target, HostsFile.Machine machine) throws CredentialException {
        Path certificate = target.resolve(SERVER_CERTIFICATE);
        return Files.exists(certificate)
                && Files.exists(target.resolve(CLIENT_OF_MACHINE).resolve(ClientBundle.CERTIFICATE))
                && addresses(readCertificate(certificate)).equals(withOwn(machine.name(), machine.addresses()));
    }

    private List<ClientBundle.Target> targets(List<String> hosts, int port) throws CredentialException, IOException {
        List<String> wanted = hosts.isEmpty() ? namesIn(MACHINES) : hosts;
        if (wanted.isEmpty()) {
            throw new CredentialException("which engine is it for? " + folder
                    + " knows no machine yet; give --host ADDRESS, or make a server's certificate first");
        }
        List<ClientBundle.Target> targets = new ArrayList<>();
        for (String host : wanted) {
            Path certificate = folder.resolve(MACHINES).resolve(fileName(host)).resolve(SERVER_CERTIFICATE);
            HostAddress address = Files.exists(certificate)
                    ? addresses(readCertificate(certificate)).getFirst()
                    : HostAddress.parse(host);
            targets.add(new ClientBundle.Target(fileName(host), address, port));
        }
        return targets;
    }

    /** IPv6 addresses hold colons, which Windows does not allow in names of files. */
    private static String fileName(String host) {
        return host.replaceAll("[^A-Za-z0-9.-]", "-");
    }

    /** All certificates: the authority's first, then the machines', then the clients', by name. */
    public List<Entry> list() throws CredentialException, IOException {
        List<Entry> entries = new ArrayList<>();
        addEntry(entries, Kind.AUTHORITY, AUTHORITY_NAME, folder.resolve(AUTHORITY_FILE));
        for (String name : namesIn(MACHINES)) {
            Path machine = machine(name);
            addEntry(entries, Kind.SERVER, name, machine.resolve(SERVER_CERTIFICATE));
            addEntry(
                    entries,
                    Kind.CLIENT,
                    name,
                    machine.resolve(CLIENT_OF_MACHINE).resolve(ClientBundle.CERTIFICATE));
        }
        for (String name : namesIn(CLIENTS)) {
            addEntry(
                    entries,
                    Kind.CLIENT,
                    name,
                    folder.resolve(CLIENTS).resolve(name).resolve(ClientBundle.CERTIFICATE));
        }
        return entries;
    }

    private static void addEntry(List<Entry> entries, Kind kind, String name, Path file) throws CredentialException {
        if (Files.exists(file)) {
            X509Certificate certificate = readCertificate(file);
            List<String> addresses = kind == Kind.SERVER
                    ? addresses(certificate).stream().map(HostAddress::text).toList()
                    : List.of();
            entries.add(new Entry(kind, name, addresses, certificate, file));
        }
    }

    /**
     * Issues certificates anew, for the same names and addresses.
     *
     * @param names of machines, clients or {@link #AUTHORITY_NAME}; empty for all but the authority that end soon
     * @param within what counts as soon
     * @param newKeys whether keys change too; otherwise only the certificates do
     * @param validity from now on; null for ten years for the authority and two for all others
     * @return the new entries
     */
    public List<Entry> renew(
            Collection<String> names, Duration within, boolean newKeys, @Nullable Duration validity, Instant now)
            throws CredentialException, IOException {
        List<Entry> due = new ArrayList<>();
        Set<String> unknown = new HashSet<>(names);
        for (Entry entry : list()) {
            unknown.remove(entry.name());
            boolean soon = entry.kind() != Kind.AUTHORITY && entry.notAfter().isBefore(now.plus(within));
            if (names.isEmpty() ? soon : names.contains(entry.name())) {
                due.add(entry);
            }
        }
        if (!unknown.isEmpty()) {
            throw new CredentialException("no certificate in " + folder + " is called "
                    + String.join(" or ", unknown.stream().sorted().toList()) + "; see: skep certs show");
        }
        List<Entry> renewed = new ArrayList<>();
        for (Entry entry : due) {
            if (entry.kind() == Kind.AUTHORITY) {
                if (newKeys) {
                    throw new CredentialException("an authority with a new key is another authority;"
                            + " make it in a new folder with: skep certs init --dir FOLDER");
                }
                renewed.add(renewAuthority(entry, validity == null ? AUTHORITY_VALIDITY : validity, now));
            } else {
                renewed.add(renewLeaf(
                        entry, newKeys, validity == null ? CertificateOptions.DEFAULT_VALIDITY : validity, now));
            }
        }
        return renewed;
    }

    private Entry renewAuthority(Entry entry, Duration validity, Instant now) throws CredentialException, IOException {
        ApiCertificateAuthority next = authority().renewed(validity, now);
        authority = next;
        writePublic(entry.file(), next.certificatePem());
        for (Entry leaf : list()) {
            if (leaf.kind() != Kind.AUTHORITY) {
                Path place = leaf.file().resolveSibling(AUTHORITY_FILE);
                writePublic(place, next.certificatePem());
                refresh(leaf);
            }
        }
        return new Entry(entry.kind(), entry.name(), List.of(), next.certificate(), entry.file());
    }

    private Entry renewLeaf(Entry entry, boolean newKeys, Duration validity, Instant now)
            throws CredentialException, IOException {
        X509Certificate old = entry.certificate();
        KeyPair keyPair =
                newKeys ? ApiCertificateAuthority.KeyType.of(old.getPublicKey()).generate() : null;
        PublicKey publicKey = keyPair == null ? old.getPublicKey() : keyPair.getPublic();
        String name = ApiCertificateAuthority.commonName(old);
        X509Certificate next = entry.kind() == Kind.SERVER
                ? authority().server(name, addresses(old), publicKey, validity, now)
                : authority().client(name, publicKey, validity, now);
        if (keyPair != null) {
            writeKey(
                    entry.file().resolveSibling(entry.kind() == Kind.SERVER ? SERVER_KEY : ClientBundle.KEY),
                    PrivateKeys.encode(keyPair.getPrivate()));
        }
        writePublic(entry.file(), Certificates.encode(List.of(next)));
        refresh(entry);
        return new Entry(entry.kind(), entry.name(), entry.addresses(), next, entry.file());
    }

    /** Brings a client's contexts up to date; without its key, which may have been moved away, they cannot be. */
    private static void refresh(Entry entry) throws CredentialException, IOException {
        if (entry.kind() == Kind.CLIENT && Files.exists(entry.file().resolveSibling(ClientBundle.KEY))) {
            ClientBundle.refreshContexts(entry.file().resolveSibling(""));
        }
    }

    private void writeServer(
            Path target, String name, List<HostAddress> addresses, CertificateOptions options, Instant now)
            throws CredentialException, IOException {
        KeyPair keyPair = newKey(options);
        X509Certificate certificate =
                authority().server(name, withOwn(name, addresses), keyPair.getPublic(), options.validity(), now);
        writePublic(target.resolve(AUTHORITY_FILE), authority().certificatePem());
        writePublic(target.resolve(SERVER_CERTIFICATE), Certificates.encode(List.of(certificate)));
        writeKey(target.resolve(SERVER_KEY), PrivateKeys.encode(keyPair.getPrivate()));
        writePublic(target.resolve("daemon.json"), ByteString.copyFromUtf8(daemonJson(options)));
    }

    private void writeClient(
            Path target, String name, List<ClientBundle.Target> targets, CertificateOptions options, Instant now)
            throws CredentialException, IOException {
        KeyPair keyPair = newKey(options);
        X509Certificate certificate = authority().client(name, keyPair.getPublic(), options.validity(), now);
        ClientBundle.write(
                target,
                targets,
                authority().certificatePem(),
                Certificates.encode(List.of(certificate)),
                ByteString.copyFromUtf8(PrivateKeys.encode(keyPair.getPrivate())));
    }

    private KeyPair newKey(CertificateOptions options) throws CredentialException {
        boolean rsa = options.rsa()
                || ApiCertificateAuthority.KeyType.of(authority().certificate().getPublicKey())
                        == ApiCertificateAuthority.KeyType.RSA;
        return keyType(rsa).generate();
    }

    /** The addresses as given, then the name, then what the machine calls itself, each once. */
    private static List<HostAddress> withOwn(String name, List<HostAddress> addresses) throws CredentialException {
        List<HostAddress> all = new ArrayList<>(addresses);
        try {
            all.add(HostAddress.parse(name));
        } catch (CredentialException e) {
            // A name such as "7" is good for a folder but is no address; then nobody calls the machine by it.
            if (addresses.isEmpty()) {
                throw e;
            }
        }
        for (String local : LOCAL_ADDRESSES) {
            all.add(HostAddress.parse(local));
        }
        return all.stream().distinct().toList();
    }

    private static String daemonJson(CertificateOptions options) {
        String place = options.installedFolder().replace("\\", "\\\\").replace("\"", "\\\"");
        return """
                {
                  "hosts": ["tcp://0.0.0.0:%1$d", "fd://"],
                  "tlsverify": true,
                  "tlscacert": "%2$s/ca.pem",
                  "tlscert": "%2$s/server-cert.pem",
                  "tlskey": "%2$s/server-key.pem"
                }
                """.formatted(options.port(), place);
    }

    private Path machine(String name) {
        return folder.resolve(MACHINES).resolve(name);
    }

    private List<String> namesIn(String kind) throws IOException {
        List<String> names = new ArrayList<>();
        try (DirectoryStream<Path> folders = Files.newDirectoryStream(folder.resolve(kind))) {
            for (Path path : folders) {
                String name = path.getFileName().toString();
                if (!name.startsWith(".") && Files.isDirectory(path)) {
                    names.add(name);
                }
            }
        } catch (NoSuchFileException e) {
            return List.of();
        }
        names.sort(null);
        return names;
    }

    private static void requireAbsent(Path target, String name, CertificateOptions options) throws CredentialException {
        if (Files.exists(target) && !options.replace()) {
            throw new CredentialException(target + " exists already; renew it with: skep certs renew " + name
                    + ", or let it be replaced with --replace");
        }
    }

    private static Path stage(Path target) throws IOException {
        Path staged = target.resolveSibling("." + target.getFileName() + ".new");
        deleteTree(staged);
        PrivateFiles.createFolder(target.resolveSibling(""));
        PrivateFiles.createFolder(staged);
        return staged;
    }

    private static void publish(Path staged, Path target) throws IOException {
        Path old = target.resolveSibling("." + target.getFileName() + ".old");
        deleteTree(old);
        if (Files.exists(target)) {
            Files.move(target, old);
            Path client = old.resolve(CLIENT_OF_MACHINE);
            if (Files.exists(client) && Files.notExists(staged.resolve(CLIENT_OF_MACHINE))) {
                Files.move(client, staged.resolve(CLIENT_OF_MACHINE));
            }
        }
        Files.move(staged, target);
        deleteTree(old);
    }

    private static void deleteTree(Path top) throws IOException {
        if (Files.notExists(top)) {
            return;
        }
        try (Stream<Path> paths = Files.walk(top)) {
            for (Path path : paths.toList().reversed()) {
                Files.delete(path);
            }
        }
    }

    private static X509Certificate readCertificate(Path file) throws CredentialException {
        return Certificates.parse(TlsMaterial.read(file), file.toString()).getFirst();
    }

    private static List<HostAddress> addresses(X509Certificate certificate) throws CredentialException {
        List<HostAddress> addresses = new ArrayList<>();
        try {
            Collection<List<?>> names = certificate.getSubjectAlternativeNames();
            if (names != null) {
                for (List<?> name : names) {
                    if (name.get(1) instanceof String text) {
                        addresses.add(HostAddress.parse(text));
                    }
                }
            }
        } catch (CertificateParsingException e) {
            throw new CredentialException("the certificate " + Certificates.name(certificate) + " is damaged", e);
        }
        return addresses;
    }

    private static void writePublic(Path file, ByteString content) throws IOException {
        PrivateFiles.write(file, content.toByteArray(), PrivateFiles.Readers.EVERYONE);
    }

    private static void writeKey(Path file, String text) throws IOException {
        PrivateFiles.write(file, text.getBytes(StandardCharsets.US_ASCII), PrivateFiles.Readers.OWNER);
    }
}
