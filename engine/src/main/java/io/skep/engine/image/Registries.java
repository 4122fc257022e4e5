package io.skep.engine.image;

import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.Socket;
import java.net.URI;
import java.net.UnknownHostException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedTrustManager;
import javax.net.ssl.X509TrustManager;

/**
 * The way to registries: which servers are asked for a repository, in which order, and how they are trusted.
 *
 * <p>This is a client of our own, on the HTTP client that is oldest in the JDK. Measured with the flags of a board, one
 * request costs 2 MB with it, 18 MB with {@code java.net.http}, and 21 MB and 24 MB of jars with the ORAS SDK, which
 * builds on the latter; neither of the two knows a time limit for a body that stops coming, and the SDK does not take
 * up a download again where it broke off, takes mirrors and passwords from the files of other programs of the machine,
 * and tells no progress. containerd's own transfer service does not exist in 1.6.
 */
public final class Registries {
    /** The server behind Docker's own name space. */
    private static final String DEFAULT_SERVER = "registry-1.docker.io";

    private static final int CONNECT_MILLIS_MAX = 15_000;

    private final RegistrySettings settings;
    private final Map<String, String> environment;

    /**
     * A server that is asked.
     *
     * @param base URL up to {@code /v2/}, without it
     * @param anyCertificate whether it need not prove who it is
     * @param mirror whether it holds copies only
     */
    record Endpoint(URI base, boolean anyCertificate, boolean mirror) {
        String authority() {
            return base.getAuthority();
        }
    }

    /**
     * Makes a client.
     *
     * @param environment {@code HTTP_PROXY}, {@code HTTPS_PROXY} and {@code NO_PROXY} are read from it
     */
    public Registries(RegistrySettings settings, Map<String, String> environment) {
        this.settings = settings;
        this.environment = Map.copyOf(environment);
    }

    public RegistrySettings settings() {
        return settings;
    }

    /** Returns the repository that an image is fetched from; nothing is asked yet. */
    public Repository forPull(Reference name, Credentials credentials) {
        List<Endpoint> endpoints = new ArrayList<>();
        if (name.domain().equals(Reference.DEFAULT_DOMAIN)) {
            for (String mirror : settings.mirrors()) {
                URI base = URI.create(mirror.endsWith("/") ? mirror.substring(0, mirror.length() - 1) : mirror);
                endpoints.add(new Endpoint(base, isInsecure(base.getAuthority()), true));
            }
        }
        endpoints.addAll(own(name));
        return new Repository(this, name, credentials, endpoints, "pull");
    }

    /** Returns the repository that an image is sent to; nothing is asked yet. */
    public Repository forPush(Reference name, Credentials credentials) {
        return new Repository(this, name, credentials, own(name), "pull,push");
    }

    private List<Endpoint> own(Reference name) {
        String authority = name.domain().equals(Reference.DEFAULT_DOMAIN) ? DEFAULT_SERVER : name.domain();
        boolean insecure = isInsecure(authority);
        List<Endpoint> endpoints = new ArrayList<>();
        endpoints.add(new Endpoint(URI.create("https://" + authority), insecure, false));
        if (insecure) {
            endpoints.add(new Endpoint(URI.create("http://" + authority), true, false));
        }
        return endpoints;
    }

    boolean isInsecure(String authority) {
        if (settings.insecure().contains(authority)) {
            return true;
        }
        String host = hostOf(authority);
        if (settings.insecure().contains(host)) {
            return true;
        }
        InetAddress[] addresses;
        try {
            addresses = InetAddress.getAllByName(host);
        } catch (UnknownHostException e) {
            return false;
        }
        for (InetAddress address : addresses) {
            if (address.isLoopbackAddress()) {
                return true;
            }
            for (String network : settings.insecure()) {
                if (network.indexOf('/') > 0 && contains(network, address)) {
                    return true;
                }
            }
        }
        return false;
    }

    private static String hostOf(String authority) {
        int colon = authority.lastIndexOf(':');
        String host = colon > authority.lastIndexOf(']') ? authority.substring(0, colon) : authority;
        return host.startsWith("[") ? host.substring(1, host.length() - 1) : host;
    }

    private static boolean contains(String network, InetAddress address) {
        int slash = network.indexOf('/');
        byte[] base;
        int bits;
        try {
            base = InetAddress.ofLiteral(network.substring(0, slash)).getAddress();
            bits = Integer.parseInt(network.substring(slash + 1));
        } catch (IllegalArgumentException e) {
            return false;
        }
        byte[] other = address.getAddress();
        if (base.length != other.length || bits < 0 || bits > Byte.SIZE * base.length) {
            return false;
        }
        for (int bit = 0; bit < bits; bit++) {
            int mask = 0x80 >> (bit % Byte.SIZE);
            if ((base[bit / Byte.SIZE] & mask) != (other[bit / Byte.SIZE] & mask)) {
                return false;
            }
        }
        return true;
    }

    /** Opens a connection on which nothing was sent yet; redirections are not followed. */
    HttpURLConnection open(URI uri, boolean anyCertificate) throws IOException {
        HttpURLConnection connection = (HttpURLConnection) uri.toURL().openConnection(proxy(uri));
        connection.setInstanceFollowRedirects(false);
        connection.setConnectTimeout(CONNECT_MILLIS_MAX);
        connection.setReadTimeout(Math.toIntExact(settings.silenceMax().toMillis()));
        connection.setUseCaches(false);
        connection.setRequestProperty("User-Agent", "skep");
        if (connection instanceof HttpsURLConnection secure) {
            if (anyCertificate) {
                secure.setSSLSocketFactory(
                        context(new TrustManager[] {new AnyCertificate()}).getSocketFactory());
                secure.setHostnameVerifier((host, session) -> true);
            } else {
                List<X509Certificate> authorities = authorities(uri.getAuthority());
                if (!authorities.isEmpty()) {
                    secure.setSSLSocketFactory(context(trusting(authorities)).getSocketFactory());
                }
            }
        }
        return connection;
    }

    private Proxy proxy(URI uri) {
        String host = hostOf(uri.getAuthority());
        String url = variable(uri.getScheme().equals("https") ? "HTTPS_PROXY" : "HTTP_PROXY");
        if (url.isEmpty() || host.equals("localhost") || host.startsWith("127.") || isExempt(host)) {
            return Proxy.NO_PROXY;
        }
        URI proxy = URI.create(url.contains("://") ? url : "http://" + url);
        int port = proxy.getPort() < 0 ? 80 : proxy.getPort();
        return new Proxy(Proxy.Type.HTTP, InetSocketAddress.createUnresolved(proxy.getHost(), port));
    }

    private boolean isExempt(String host) {
        for (String each : variable("NO_PROXY").split(",", -1)) {
            String rule = each.strip();
            if (rule.equals("*") || rule.equals(host)) {
                return true;
            }
            String suffix = rule.startsWith("*.") ? rule.substring(1) : rule.startsWith(".") ? rule : "." + rule;
            if (!rule.isEmpty() && host.endsWith(suffix)) {
                return true;
            }
            if (rule.indexOf('/') > 0 && !host.isEmpty() && Character.isDigit(host.charAt(0))) {
                try {
                    if (contains(rule, InetAddress.ofLiteral(host))) {
                        return true;
                    }
                } catch (IllegalArgumentException e) {
                    // The host is a name that begins with a digit.
                }
            }
        }
        return false;
    }

    private String variable(String name) {
        String value = environment.get(name);
        return value == null ? environment.getOrDefault(name.toLowerCase(Locale.ROOT), "") : value;
    }

    private List<X509Certificate> authorities(String authority) throws IOException {
        Path folder = settings.certificates().resolve(authority);
        List<X509Certificate> all = new ArrayList<>();
        if (!Files.isDirectory(folder)) {
            return all;
        }
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, "*.crt")) {
            CertificateFactory factory = CertificateFactory.getInstance("X.509");
            for (Path file : files) {
                try (InputStream in = Files.newInputStream(file)) {
                    for (Certificate certificate : factory.generateCertificates(in)) {
                        all.add((X509Certificate) certificate);
                    }
                }
            }
        } catch (CertificateException e) {
            throw new IOException("the certificates in " + folder + " cannot be read: " + e.getMessage(), e);
        }
        return all;
    }

    /** Trusts what the machine trusts, and some more. */
    private static TrustManager[] trusting(List<X509Certificate> authorities) throws IOException {
        try {
            TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            factory.init((KeyStore) null);
            KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
            store.load(null, null);
            int number = 0;
            for (X509Certificate certificate : authorities) {
                store.setCertificateEntry("own-" + number++, certificate);
            }
            for (TrustManager manager : factory.getTrustManagers()) {
                if (manager instanceof X509TrustManager known) {
                    for (X509Certificate certificate : known.getAcceptedIssuers()) {
                        store.setCertificateEntry("known-" + number++, certificate);
                    }
                }
            }
            TrustManagerFactory both = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            both.init(store);
            return both.getTrustManagers();
        } catch (GeneralSecurityException e) {
            throw new IOException("the certificates of the registry cannot be used: " + e.getMessage(), e);
        }
    }

    private static SSLContext context(TrustManager[] trust) throws IOException {
        try {
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, trust, null);
            return context;
        } catch (GeneralSecurityException e) {
            throw new IOException("TLS is not available: " + e.getMessage(), e);
        }
    }

    /** Takes every certificate: for registries that the user named as insecure. */
    private static final class AnyCertificate extends X509ExtendedTrustManager {
        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type) {}

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type, Socket socket) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type, Socket socket) {}

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}

        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }
}
