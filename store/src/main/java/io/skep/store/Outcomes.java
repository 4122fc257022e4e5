package io.skep.store;

import io.skep.wire.CommandResult;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What the last requests were answered, so that a repeated one has its effect once; immutable. */
final class Outcomes {
    static final int REMEMBERED_MAX = 4096;

    private static final Outcomes NONE = new Outcomes(HashTrie.empty(), HashTrie.empty(), 0, 0);

    private final HashTrie<CommandResult> byRequest;
    /** The requests by the number of their turn, from the oldest to before the next. */
    private final HashTrie<String> byTurn;

    private final long oldest;
    private final long next;

    private Outcomes(HashTrie<CommandResult> byRequest, HashTrie<String> byTurn, long oldest, long next) {
        this.byRequest = byRequest;
        this.byTurn = byTurn;
        this.oldest = oldest;
        this.next = next;
    }

    static Outcomes none() {
        return NONE;
    }

    @Nullable
    CommandResult get(String requestId) {
        return byRequest.get(requestId);
    }

    /** Returns the remembered requests, oldest first. */
    List<String> requests() {
        List<String> requests = new ArrayList<>();
        for (long turn = oldest; turn < next; turn++) {
            String request = byTurn.get(Long.toString(turn));
            if (request != null) {
                requests.add(request);
            }
        }
        return requests;
    }

    /** Returns these with one more; the oldest is forgotten when there would be too many. */
    Outcomes with(String requestId, CommandResult result) {
        HashTrie<CommandResult> results = byRequest.with(requestId, result);
        if (results.size() == byRequest.size()) {
            return new Outcomes(results, byTurn, oldest, next);
        }
        HashTrie<String> turns = byTurn.with(Long.toString(next), requestId);
        if (turns.size() <= REMEMBERED_MAX) {
            return new Outcomes(results, turns, oldest, next + 1);
        }
        String turn = Long.toString(oldest);
        String forgotten = turns.get(turn);
        return new Outcomes(
                forgotten == null ? results : results.without(forgotten), turns.without(turn), oldest + 1, next + 1);
    }
}
