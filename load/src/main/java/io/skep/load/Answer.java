package io.skep.load;

import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import io.netty.channel.EventLoop;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * What comes back from one call or stream, always on the agents' thread: deadlines would otherwise be told on another.
 */
final class Answer<T> implements StreamObserver<T> {
    private final EventLoop loop;
    private final Consumer<T> onMessage;
    private final Consumer<Status> onEnd;

    /**
     * Makes an observer.
     *
     * @param onEnd told how it ended; with OK when all went well
     */
    Answer(EventLoop loop, Consumer<T> onMessage, Consumer<Status> onEnd) {
        this.loop = loop;
        this.onMessage = onMessage;
        this.onEnd = onEnd;
    }

    /** For a call with one answer: exactly one of both is told. */
    static <T> Answer<T> once(EventLoop loop, Consumer<T> onAnswer, Consumer<Status> onFailure) {
        return new Answer<>(loop, onAnswer, status -> {
            if (!status.isOk()) {
                onFailure.accept(status);
            }
        });
    }

    @Override
    public void onNext(T value) {
        run(() -> onMessage.accept(value));
    }

    @Override
    public void onError(@Nullable Throwable failure) {
        run(() -> onEnd.accept(failure == null ? Status.UNKNOWN : Status.fromThrowable(failure)));
    }

    @Override
    public void onCompleted() {
        run(() -> onEnd.accept(Status.OK));
    }

    private void run(Runnable handler) {
        if (loop.inEventLoop()) {
            handler.run();
        } else {
            loop.execute(handler);
        }
    }
}
