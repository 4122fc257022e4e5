package io.skep.agent;

import io.grpc.Channel;
import io.grpc.ManagedChannel;
import java.io.IOException;

/** The port through which an agent reaches managers. */
@FunctionalInterface
public interface ManagerTransport {
    /**
     * Begins to connect and does not wait for it; when it fails, so do the calls.
     *
     * @param address host:port, as managers tell it
     * @throws IOException when there can be no connection to that address
     */
    Connection open(String address) throws IOException;

    /** A way to one manager. Its calls may be answered on any thread. */
    interface Connection {
        Channel channel();

        /** Ends all calls at once; never blocks. */
        void close();

        /** Returns a connection that is all there is to a channel. */
        static Connection of(ManagedChannel channel) {
            return new Connection() {
                @Override
                public Channel channel() {
                    return channel;
                }

                @Override
                public void close() {
                    channel.shutdownNow();
                }
            };
        }
    }
}
