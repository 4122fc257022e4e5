package io.skep.agent;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;

/** Work on a task that a {@link Controller} has begun. */
public interface Operation {
    /** Completes when the work has ended and touches nothing any more, with the reason when it failed. */
    CompletionStage<Void> ended();

    /** Asks the work to end soon; how it ends then does not matter. Never blocks, may be called again. */
    void cancel();

    /** Returns work that is done. */
    static Operation done() {
        return of(CompletableFuture.completedFuture(null), () -> {});
    }

    /** Returns work that could not even begin. */
    static Operation failed(Throwable reason) {
        return of(CompletableFuture.failedFuture(reason), () -> {});
    }

    static Operation of(CompletionStage<Void> ended, Runnable cancel) {
        return new Operation() {
            @Override
            public CompletionStage<Void> ended() {
                return ended;
            }

            @Override
            public void cancel() {
                cancel.run();
            }
        };
    }
}
