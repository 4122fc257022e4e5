package io.skep.daemon.node;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.control.CommandException;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RefusalsTest {
    /** Seen on dockerd 20.10 with one, two and three managers. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "1 | 0 | Removing the last manager erases all current state of the swarm.",
                "2 | 0 | Removing this node leaves 1 managers out of 2. Without a Raft quorum",
                "2 | 1 | Removing this node leaves 1 managers out of 3. Without a Raft quorum",
                "3 | 0 | participating as a manager. The only way to restore a swarm"
            })
    void warnsOfWhatLeavingDoes(long reachable, long unreachable, String text) {
        assertThat(Refusals.leavingManager(reachable, unreachable)).hasMessageContaining(text);
    }

    @ParameterizedTest
    @CsvSource({
        "INVALID_ARGUMENT, 400, rpc error: code = InvalidArgument desc = no",
        "UNAVAILABLE, 503, rpc error: code = Unavailable desc = no",
        "UNKNOWN, 500, rpc error: code = Unknown desc = no"
    })
    void passesOnTheWordsOfTheManager(CommandException.Code code, int status, String text) {
        assertThat(Refusals.of(new CommandException(code, "no"))).satisfies(refusal -> {
            assertThat(refusal.status()).isEqualTo(status);
            assertThat(refusal).hasMessage(text);
        });
    }
}
