package io.skep.daemon;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What systemd, or whatever speaks its protocols, handed over and wants to be told: listening sockets by LISTEN_FDS,
 * LISTEN_PID and LISTEN_FDNAMES (sd_listen_fds), and the state of the daemon by NOTIFY_SOCKET (sd_notify).
 *
 * @param notifySocket where to tell the state, or empty
 */
record ServiceManager(List<Socket> sockets, String notifySocket) {
    private static final Logger LOG = LoggerFactory.getLogger(ServiceManager.class);
    private static final int FIRST_DESCRIPTOR = 3;
    private static final int SOCKETS_MAX = 1024;

    ServiceManager {
        sockets = List.copyOf(sockets);
    }

    /** An inherited descriptor; without a name of its own it is called as systemd does. */
    record Socket(int fd, String name) {}

    static ServiceManager of(Map<String, String> environment, long pid) {
        String notifySocket = environment.getOrDefault("NOTIFY_SOCKET", "");
        // The variables can be inherited from a parent they were meant for.
        if (!environment.getOrDefault("LISTEN_PID", "").equals(Long.toString(pid))) {
            return new ServiceManager(List.of(), notifySocket);
        }
        int count;
        try {
            count = Math.clamp(Integer.parseInt(environment.getOrDefault("LISTEN_FDS", "0")), 0, SOCKETS_MAX);
        } catch (NumberFormatException _) {
            count = 0;
        }
        List<String> names =
                List.of(environment.getOrDefault("LISTEN_FDNAMES", "").split(":", -1));
        List<Socket> sockets = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            String name = i < names.size() ? names.get(i) : "";
            sockets.add(new Socket(FIRST_DESCRIPTOR + i, name.isEmpty() ? "unknown" : name));
        }
        return new ServiceManager(sockets, notifySocket);
    }

    /**
     * Selects by what stands after {@code fd://}: nothing selects all, a number one descriptor, else all of that name.
     */
    List<Socket> select(String which) {
        return sockets.stream()
                .filter(socket -> which.isEmpty()
                        || socket.name().equals(which)
                        || Integer.toString(socket.fd()).equals(which))
                .toList();
    }

    void ready() {
        tell("READY=1");
    }

    void stopping() {
        tell("STOPPING=1");
    }

    private void tell(String state) {
        if (notifySocket.isEmpty()) {
            return;
        }
        try {
            SocketCalls.sendDatagram(notifySocket, state);
        } catch (IOException e) {
            LOG.warn("the service manager could not be told {}", state, e);
        }
    }
}
