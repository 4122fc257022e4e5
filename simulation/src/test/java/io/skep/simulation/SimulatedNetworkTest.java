package io.skep.simulation;

import static org.assertj.core.api.Assertions.assertThat;

import io.grpc.Attributes;
import io.grpc.Status;
import io.skep.store.Store;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** That the simulated network treats what it carries as the comments of its classes say. */
class SimulatedNetworkTest {
    private static final long MILLISECOND = 1_000_000;
    private static final long SECOND = 1000 * MILLISECOND;

    private record Numbered(int number) implements Connection.Frame {}

    private final VirtualTime time = new VirtualTime();
    private final Verdict verdict = new Verdict();
    private final SimulatedNetwork network = new SimulatedNetwork(time, new Random(7));
    private final Host one = new Host("one", "10.0.0.1", 0);
    private final Host two = new Host("two", "10.0.0.2", 0);
    private final SimulatedProcess client = new SimulatedProcess(time, one, verdict::unexpected);
    private final SimulatedProcess server = new SimulatedProcess(time, two, verdict::unexpected);
    private final Side atClient = new Side();
    private final Side atServer = new Side();
    private final List<Status> refusals = new ArrayList<>();

    /** What one side of the connection saw. */
    private final class Side implements Connection.Receiver {
        Connection.@Nullable End end;
        final List<Integer> numbers = new ArrayList<>();
        final List<Long> times = new ArrayList<>();
        String reason = "";
        long brokenNanos;

        @Override
        public void received(Connection.Frame frame) {
            if (frame instanceof Numbered numbered) {
                numbers.add(numbered.number());
                times.add(time.nanos());
            }
        }

        @Override
        public void broken(Status status) {
            reason = Objects.requireNonNull(status.getDescription());
            brokenNanos = time.nanos();
        }
    }

    SimulatedNetworkTest() {
        network.add(one);
        network.add(two);
        network.listen("10.0.0.2:1", server, (end, caller) -> {
            atServer.end = end;
            end.onReceive(atServer);
        });
    }

    private void connect() {
        network.connect(
                client,
                "10.0.0.2:1",
                Attributes.EMPTY,
                end -> {
                    atClient.end = end;
                    end.onReceive(atClient);
                },
                refusals::add);
    }

    private void connected() {
        connect();
        pass(SECOND);
        assertThat(atClient.end).isNotNull();
    }

    private void pass(long nanos) {
        long end = time.nanos() + nanos;
        while (time.step(end)) {
            assertThat(verdict.first()).isNull();
        }
    }

    private static void send(Side from, int first, int last) {
        Connection.End end = Objects.requireNonNull(from.end);
        IntStream.rangeClosed(first, last).forEach(number -> end.send(new Numbered(number)));
    }

    private static List<Integer> numbers(int last) {
        return IntStream.rangeClosed(1, last).boxed().toList();
    }

    @Test
    void aConnectionCarriesEverythingOnceInOrderAndLater() {
        connected();
        long sent = time.nanos();
        send(atClient, 1, 2000);
        assertThat(atServer.numbers).isEmpty();
        pass(SECOND);
        assertThat(atServer.numbers).isEqualTo(numbers(2000));
        assertThat(atServer.times.getFirst() - sent).isBetween(MILLISECOND / 10, 62 * MILLISECOND);
    }

    @Test
    void aSlowLinkIsSlowThatWay() {
        connected();
        network.slow(one, two, 500 * MILLISECOND);
        long sent = time.nanos();
        send(atClient, 1, 1);
        send(atServer, 1, 1);
        pass(2 * SECOND);
        assertThat(atServer.times.getFirst() - sent).isBetween(500 * MILLISECOND, 562 * MILLISECOND);
        assertThat(atClient.times.getFirst() - sent).isLessThan(62 * MILLISECOND);
    }

    @Test
    void aLinkThatIsCutOneWayCarriesTheOtherWayAndLosesNothing() {
        connected();
        network.cut(one, two);
        send(atClient, 1, 5);
        send(atServer, 1, 5);
        pass(SECOND);
        assertThat(atServer.numbers).isEmpty();
        assertThat(atClient.numbers).isEqualTo(numbers(5));
        send(atClient, 6, 10);
        network.mend(one, two);
        pass(SECOND);
        assertThat(atServer.numbers).isEqualTo(numbers(10));
    }

    @Test
    void whatFliesWhenALinkIsMendedDoesNotOvertake() {
        connected();
        for (int i = 1; i <= 500; i++) {
            int number = i;
            time.afterNanos(i * MILLISECOND / 5, () -> send(atClient, number, number));
            if (i % 20 == 0) {
                time.afterNanos(i * MILLISECOND / 5, () -> network.cut(one, two));
                time.afterNanos(i * MILLISECOND / 5 + MILLISECOND / 2, () -> network.mend(one, two));
            }
        }
        pass(2 * SECOND);
        assertThat(atServer.numbers).isEqualTo(numbers(500));
    }

    @Test
    void eachEndGivesUpByItself() {
        connected();
        long cut = time.nanos();
        network.cut(two, one);
        pass(20 * SECOND);
        assertThat(atClient.reason).isEqualTo("keepalive failed");
        assertThat(atClient.brokenNanos - cut).isBetween(2 * SECOND, 4 * SECOND);
        // The way to the server works, so it learns from the client that the connection is over, or gives up itself.
        assertThat(atServer.reason).isNotEmpty();
        assertThat(atServer.brokenNanos - cut).isLessThan(15 * SECOND);
    }

    @Test
    void aShortCutIsNotNoticed() {
        connected();
        network.cut(one, two);
        network.cut(two, one);
        pass(SECOND);
        network.mendAll();
        send(atClient, 1, 3);
        pass(20 * SECOND);
        assertThat(atServer.numbers).isEqualTo(numbers(3));
        assertThat(atClient.reason + atServer.reason).isEmpty();
    }

    @Test
    void aConnectionThatBreaksLosesWhatIsOnItsWay() {
        connected();
        network.slow(one, two, SECOND);
        send(atClient, 1, 3);
        network.breakOne(one, two);
        pass(5 * SECOND);
        assertThat(atServer.numbers).isEmpty();
        assertThat(atClient.reason).isEqualTo("connection reset");
        assertThat(atServer.reason).isEqualTo("connection reset");
    }

    @Test
    void nothingPassesWithoutPowerAndAKilledProgramIsNoticedAtOnce() {
        connected();
        server.kill();
        network.killed(server);
        pass(SECOND);
        assertThat(atClient.reason).isEqualTo("connection reset");
        connect();
        pass(SECOND);
        assertThat(refusals).singleElement().extracting(Status::getDescription).isEqualTo("connection refused");
        two.up = false;
        connect();
        pass(5 * SECOND);
        assertThat(refusals).last().extracting(Status::getDescription).isEqualTo("connect timed out");
    }

    @Test
    void noConnectionIsMadeOverALinkThatIsCutEitherWay() {
        for (boolean back : List.of(false, true)) {
            network.cut(back ? two : one, back ? one : two);
            connect();
            pass(5 * SECOND);
            network.mendAll();
        }
        assertThat(refusals)
                .extracting(Status::getDescription)
                .containsExactly("connect timed out", "connect timed out");
        assertThat(atClient.end).isNull();
    }

    @Test
    void messagesOfTheLogAreLostRepeatedAndOvertaken() {
        Quorum quorum = new Quorum(time, network, new Random(3), new Trace(time, null), verdict);
        SimulatedConsensus from = consensus(quorum, client);
        SimulatedConsensus to = consensus(quorum, server);
        int count = 10_000;
        List<Integer> arrived = sendAll(quorum, from, to, count);
        long different = arrived.stream().distinct().count();
        assertThat(count - different).as("lost").isBetween(50L, 200L);
        assertThat(arrived.size() - different).as("repeated").isBetween(50L, 200L);
        assertThat(overtaken(arrived)).isGreaterThan(1000);

        network.cut(two, one);
        assertThat(sendAll(quorum, from, to, 100)).hasSizeGreaterThan(80);
        assertThat(sendAll(quorum, to, from, 100)).isEmpty();
        network.mendAll();

        quorum.calm();
        arrived = sendAll(quorum, from, to, count);
        assertThat(arrived).hasSize(count).doesNotHaveDuplicates();
        assertThat(overtaken(arrived)).isGreaterThan(1000);
    }

    private List<Integer> sendAll(Quorum quorum, SimulatedConsensus from, SimulatedConsensus to, int count) {
        List<Integer> arrived = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            int number = i;
            quorum.send(from, to.selfId(), target -> {
                assertThat(target).isSameAs(to);
                arrived.add(number);
            });
        }
        pass(SECOND);
        return arrived;
    }

    private static long overtaken(List<Integer> arrived) {
        return IntStream.range(1, arrived.size())
                .filter(i -> arrived.get(i) < arrived.get(i - 1))
                .count();
    }

    private static SimulatedConsensus consensus(Quorum quorum, SimulatedProcess process) {
        Host host = process.host();
        return new SimulatedConsensus(
                quorum, host.name(), host.address() + ":1", new LogDisk(), process, new Store(), 100);
    }
}
