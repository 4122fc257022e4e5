package io.skep.manager;

import io.grpc.Attributes;
import io.grpc.Grpc;
import io.grpc.ServerTransportFilter;
import io.skep.certs.CredentialException;
import io.skep.certs.NodeIdentity;
import java.net.InetSocketAddress;
import java.security.cert.X509Certificate;
import javax.net.ssl.SSLPeerUnverifiedException;
import javax.net.ssl.SSLSession;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Finds out who opened a connection: what the certificate says that TLS has verified, if the caller showed one. */
final class CallerFilter extends ServerTransportFilter {
    private static final Logger LOG = LoggerFactory.getLogger(CallerFilter.class);

    /** Reads the certificate once for each connection. */
    @Override
    public Attributes transportReady(Attributes attributes) {
        SSLSession session = attributes.get(Grpc.TRANSPORT_ATTR_SSL_SESSION);
        if (session == null) {
            return attributes;
        }
        try {
            NodeIdentity identity = NodeIdentity.of((X509Certificate) session.getPeerCertificates()[0]);
            String address = attributes.get(Grpc.TRANSPORT_ATTR_REMOTE_ADDR) instanceof InetSocketAddress remote
                    ? remote.getAddress().getHostAddress()
                    : "";
            return attributes.toBuilder()
                    .set(Caller.ATTRIBUTE, new Caller(identity, address))
                    .build();
        } catch (SSLPeerUnverifiedException e) {
            return attributes;
        } catch (CredentialException e) {
            LOG.warn(
                    "a caller from {} shows a certificate that is no node's: {}",
                    attributes.get(Grpc.TRANSPORT_ATTR_REMOTE_ADDR),
                    e.getMessage());
            return attributes;
        }
    }
}
