package io.skep.daemon.node;

import io.skep.certs.CredentialException;
import io.skep.certs.NodeIdentity;
import io.skep.certs.TlsIdentity;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.security.GeneralSecurityException;
import java.security.cert.X509Certificate;
import javax.net.ssl.KeyManager;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManager;

/** Finds out which manager of the own cluster answers at an address: its certificate says so. */
final class ManagerProbe {
    private static final int TIMEOUT_MILLIS = 2_000;

    private final SSLContext context;

    ManagerProbe(TlsIdentity identity) {
        try {
            context = SSLContext.getInstance("TLS");
            context.init(
                    new KeyManager[] {identity.keyManager()},
                    new TrustManager[] {identity.serverTrust(NodeIdentity.MANAGER_NAME)},
                    null);
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("this JDK has no TLS", e);
        }
    }

    /**
     * Asks.
     *
     * @return the node id of the manager
     * @throws IOException when nobody answers there, or one who is no manager of the cluster
     */
    String nodeId(InetSocketAddress address) throws IOException {
        try (Socket plain = new Socket()) {
            plain.connect(address, TIMEOUT_MILLIS);
            plain.setSoTimeout(TIMEOUT_MILLIS);
            try (SSLSocket socket = (SSLSocket) context.getSocketFactory()
                    .createSocket(plain, NodeIdentity.MANAGER_NAME, address.getPort(), true)) {
                SSLParameters parameters = socket.getSSLParameters();
                parameters.setApplicationProtocols(new String[] {"h2"});
                socket.setSSLParameters(parameters);
                socket.startHandshake();
                X509Certificate leaf = (X509Certificate) socket.getSession().getPeerCertificates()[0];
                return NodeIdentity.of(leaf).nodeId();
            }
        } catch (CredentialException e) {
            throw new IOException(e.getMessage(), e);
        }
    }
}
