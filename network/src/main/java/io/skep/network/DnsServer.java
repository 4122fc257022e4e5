package io.skep.network;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.ByteBuffer;
import java.nio.channels.DatagramChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The name server that a container sees at 127.0.0.11: it knows the containers of the networks it shares, and asks the
 * name servers of the host for everything else.
 *
 * <p>Its sockets are in the container's network namespace and have any free ports, to which rules in the namespace send
 * what is meant for port 53: so the container may have a name server of its own at all addresses.
 *
 * <p>Threads: virtual ones, one for each socket, question that is asked further, and connection.
 *
 * <p>Bounds: {@link #FORWARDS_MAX} questions are asked further at a time, {@link #CONNECTIONS_MAX} connections are
 * open; what is more is not answered, and a client asks again.
 */
public final class DnsServer implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(DnsServer.class);
    private static final InetAddress ADDRESS = Subnet.address("127.0.0.11");
    private static final int PORT = 53;
    private static final int FORWARDS_MAX = 256;
    private static final int CONNECTIONS_MAX = 32;
    private static final int UPSTREAMS_MAX = 3;
    private static final int MESSAGE_BYTES_MAX = 65535;
    private static final int QUESTION_BYTES_MAX = 4096;
    private static final int UPSTREAM_TIMEOUT_MILLIS = 4_000;
    private static final int CONNECTION_TIMEOUT_MILLIS = 10_000;

    /** What is known here. Called by several threads. */
    public interface Names {
        /** Returns the addresses of a name, or nothing when it is not known. */
        Optional<List<InetAddress>> addresses(String name);

        /** Returns the name of an address. */
        Optional<String> name(InetAddress address);
    }

    /**
     * Who is asked for the rest.
     *
     * @param namespace from which it is reached
     */
    public record Upstream(InetAddress address, NetworkNamespace namespace) {}

    private final NetworkNamespace container;
    private final Names names;
    private final List<Upstream> upstreams;
    private final boolean singleLabelsEndHere;
    private final ExecutorService executor;
    private final DatagramChannel datagrams;
    private final ServerSocketChannel connections;
    private final SecureRandom random = new SecureRandom();
    private final Semaphore forwards = new Semaphore(FORWARDS_MAX);
    private final Semaphore connected = new Semaphore(CONNECTIONS_MAX);
    private volatile boolean closed;

    /**
     * Starts a server.
     *
     * @param singleLabelsEndHere whether a name without a dot that is not known here is asked of nobody else
     * @param executor virtual threads
     */
    public DnsServer(
            NetworkNamespace container,
            Names names,
            List<Upstream> upstreams,
            boolean singleLabelsEndHere,
            ExecutorService executor)
            throws IOException {
        this.container = container;
        this.names = names;
        this.upstreams = List.copyOf(upstreams.subList(0, Math.min(UPSTREAMS_MAX, upstreams.size())));
        this.singleLabelsEndHere = singleLabelsEndHere;
        this.executor = executor;
        datagrams = container.run(() -> {
            DatagramChannel channel = DatagramChannel.open(StandardProtocolFamily.INET);
            channel.bind(new InetSocketAddress(ADDRESS, 0));
            return channel;
        });
        boolean done = false;
        try {
            connections = container.run(() -> {
                ServerSocketChannel channel = ServerSocketChannel.open(StandardProtocolFamily.INET);
                channel.bind(new InetSocketAddress(ADDRESS, 0), CONNECTIONS_MAX);
                return channel;
            });
            try {
                redirect();
                executor.execute(this::serveDatagrams);
                executor.execute(this::serveConnections);
                done = true;
            } finally {
                if (!done) {
                    connections.close();
                }
            }
        } finally {
            if (!done) {
                datagrams.close();
            }
        }
    }

    private static int port(SocketAddress address) {
        return ((InetSocketAddress) address).getPort();
    }

    private void redirect() throws IOException {
        String rules = """
                table ip skep_dns
                delete table ip skep_dns
                table ip skep_dns {
                 chain output {
                  type nat hook output priority -100; policy accept;
                  ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:%d
                  ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:%d
                 }
                }
                """.formatted(port(datagrams.getLocalAddress()), port(connections.getLocalAddress()));
        var _ = Programs.run(container, rules, "nft", "-f", "-");
    }

    private void serveDatagrams() {
        ByteBuffer buffer = ByteBuffer.allocate(QUESTION_BYTES_MAX);
        while (!closed) {
            try {
                InetSocketAddress client = (InetSocketAddress) datagrams.receive(buffer.clear());
                byte[] message = Arrays.copyOf(buffer.array(), buffer.position());
                Optional<DnsQuestion> question = DnsQuestion.parse(message);
                if (client == null || question.isEmpty()) {
                    continue;
                }
                byte[] known = answer(question.get(), true);
                if (known != null) {
                    datagrams.send(ByteBuffer.wrap(known), client);
                } else if (forwards.tryAcquire()) {
                    executor.execute(() -> {
                        try {
                            datagrams.send(ByteBuffer.wrap(forward(question.get(), true)), client);
                        } catch (IOException e) {
                            LOG.debug("a container is not answered: {}", e.getMessage());
                        } finally {
                            forwards.release();
                        }
                    });
                }
            } catch (IOException e) {
                if (!closed) {
                    LOG.warn("The name server of a container lost its socket: {}", e.getMessage());
                    return;
                }
            }
        }
    }

    private void serveConnections() {
        while (!closed) {
            try {
                SocketChannel client = connections.accept();
                if (!connected.tryAcquire()) {
                    client.close();
                    continue;
                }
                executor.execute(() -> {
                    try (client) {
                        client.socket().setSoTimeout(CONNECTION_TIMEOUT_MILLIS);
                        serve(client);
                    } catch (IOException e) {
                        LOG.debug("a connection of a container ends: {}", e.getMessage());
                    } finally {
                        connected.release();
                    }
                });
            } catch (IOException e) {
                if (!closed) {
                    LOG.warn("The name server of a container lost its socket: {}", e.getMessage());
                    return;
                }
            }
        }
    }

    private void serve(SocketChannel client) throws IOException {
        var in = new DataInputStream(client.socket().getInputStream());
        var out = new DataOutputStream(client.socket().getOutputStream());
        while (true) {
            byte[] message = new byte[in.readUnsignedShort()];
            in.readFully(message);
            DnsQuestion question =
                    DnsQuestion.parse(message).orElseThrow(() -> new IOException("what it says is no question"));
            byte[] known = answer(question, false);
            byte[] answer = known == null ? forward(question, false) : known;
            byte[] framed = new byte[answer.length + 2];
            framed[0] = (byte) (answer.length >> 8);
            framed[1] = (byte) answer.length;
            System.arraycopy(answer, 0, framed, 2, answer.length);
            out.write(framed);
        }
    }

    /** Returns the answer to what is known here, or null when others must be asked. */
    private byte @Nullable [] answer(DnsQuestion question, boolean datagram) {
        return switch (question.type()) {
            case DnsQuestion.TYPE_A, DnsQuestion.TYPE_AAAA, DnsQuestion.TYPE_MX -> {
                Optional<List<InetAddress>> found = names.addresses(question.name());
                if (found.isPresent()) {
                    List<InetAddress> shuffled = new ArrayList<>(found.get());
                    Collections.shuffle(shuffled, random);
                    yield question.addresses(question.type() == DnsQuestion.TYPE_MX ? List.of() : shuffled, datagram);
                }
                yield singleLabelsEndHere && question.name().indexOf('.') < 0
                        ? question.code(DnsQuestion.NO_ERROR)
                        : null;
            }
            case DnsQuestion.TYPE_PTR ->
                question.reverse()
                        .flatMap(names::name)
                        .map(name -> question.pointer(name, datagram))
                        .orElse(null);
            default -> null;
        };
    }

    private byte[] forward(DnsQuestion question, boolean datagram) {
        for (Upstream upstream : upstreams) {
            try {
                byte[] answer = datagram ? askByDatagram(upstream, question) : askByConnection(upstream, question);
                int code = answer[3] & 0xf;
                if (code != DnsQuestion.SERVER_FAILURE && code != DnsQuestion.REFUSED) {
                    return answer;
                }
            } catch (IOException e) {
                LOG.debug("the name server {} does not answer: {}", upstream.address(), e.getMessage());
            }
        }
        return question.code(DnsQuestion.SERVER_FAILURE);
    }

    /** Asks from a port and with a number that nobody can guess. */
    private byte[] askByDatagram(Upstream upstream, DnsQuestion question) throws IOException {
        byte[] message = renumbered(question);
        DatagramChannel opened = upstream.namespace().run(() -> DatagramChannel.open(family(upstream)));
        try (DatagramChannel channel = opened) {
            channel.connect(new InetSocketAddress(upstream.address(), PORT));
            channel.socket().setSoTimeout(UPSTREAM_TIMEOUT_MILLIS);
            channel.write(ByteBuffer.wrap(message));
            DatagramPacket packet = new DatagramPacket(new byte[4096], 4096);
            long until = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(UPSTREAM_TIMEOUT_MILLIS);
            while (System.nanoTime() < until) {
                channel.socket().receive(packet);
                byte[] answer = Arrays.copyOf(packet.getData(), packet.getLength());
                if (answers(answer, message)) {
                    return numberedAs(answer, question);
                }
            }
            throw new IOException("no answer in time");
        }
    }

    private byte[] askByConnection(Upstream upstream, DnsQuestion question) throws IOException {
        byte[] message = renumbered(question);
        SocketChannel opened = upstream.namespace().run(() -> SocketChannel.open(family(upstream)));
        try (SocketChannel channel = opened) {
            channel.socket().connect(new InetSocketAddress(upstream.address(), PORT), UPSTREAM_TIMEOUT_MILLIS);
            channel.socket().setSoTimeout(UPSTREAM_TIMEOUT_MILLIS);
            ByteBuffer framed = ByteBuffer.allocate(message.length + 2).putShort((short) message.length);
            channel.socket().getOutputStream().write(framed.put(message).array());
            var in = new DataInputStream(channel.socket().getInputStream());
            byte[] answer = new byte[Math.min(MESSAGE_BYTES_MAX, in.readUnsignedShort())];
            in.readFully(answer);
            if (!answers(answer, message)) {
                throw new IOException("the answer is to another question");
            }
            return numberedAs(answer, question);
        }
    }

    private static StandardProtocolFamily family(Upstream upstream) {
        return upstream.address().getAddress().length == 4 ? StandardProtocolFamily.INET : StandardProtocolFamily.INET6;
    }

    private byte[] renumbered(DnsQuestion question) {
        byte[] message = question.message();
        int number = random.nextInt(1 << 16);
        message[0] = (byte) (number >> 8);
        message[1] = (byte) number;
        return message;
    }

    private static byte[] numberedAs(byte[] answer, DnsQuestion question) {
        byte[] asked = question.message();
        answer[0] = asked[0];
        answer[1] = asked[1];
        return answer;
    }

    private static boolean answers(byte[] answer, byte[] question) {
        return answer.length >= 12 && answer[0] == question[0] && answer[1] == question[1] && (answer[2] & 0x80) != 0;
    }

    @Override
    public void close() throws IOException {
        closed = true;
        datagrams.close();
        connections.close();
    }
}
