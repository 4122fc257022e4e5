package io.skep.engine;

import com.google.protobuf.Any;
import io.grpc.StatusRuntimeException;
import io.skep.containerd.tasks.CloseIORequest;
import io.skep.containerd.tasks.CreateTaskRequest;
import io.skep.containerd.tasks.DeleteProcessRequest;
import io.skep.containerd.tasks.DeleteTaskRequest;
import io.skep.containerd.tasks.ExecProcessRequest;
import io.skep.containerd.tasks.GetRequest;
import io.skep.containerd.tasks.KillRequest;
import io.skep.containerd.tasks.ListPidsRequest;
import io.skep.containerd.tasks.PauseTaskRequest;
import io.skep.containerd.tasks.ResizePtyRequest;
import io.skep.containerd.tasks.ResumeTaskRequest;
import io.skep.containerd.tasks.StartRequest;
import io.skep.containerd.tasks.UpdateTaskRequest;
import io.skep.containerd.tasks.WaitRequest;
import io.skep.containerd.tasks.WaitResponse;
import io.skep.containerd.tasktypes.Process;
import io.skep.containerd.tasktypes.ProcessInfo;
import io.skep.containerd.types.Mount;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * The processes of containers, as containerd and its shims run them.
 *
 * <p>An exec id that is empty stands for the first process. Methods block; failures come as {@link EngineException}s in
 * containerd's words.
 */
final class ContainerdTasks {
    /** What is told of a process whose end nobody saw: as if it had been killed. */
    private static final int LOST = 137;

    /** What containerd says when a shim went away under a call. */
    private static final String HUNG_UP = "ttrpc: closed";

    private static final Duration RETRY = Duration.ofMillis(200);

    private final Containerd containerd;

    ContainerdTasks(Containerd containerd) {
        this.containerd = containerd;
    }

    /**
     * How a process ended.
     *
     * @param code as a shell shows it: 128 and the signal when a signal killed it
     */
    record Exit(int code, Instant at) {}

    /** The named pipes of a process; empty paths for streams it has not. */
    record Streams(String stdin, String stdout, String stderr, boolean terminal) {
        static Streams of(Path folder, boolean stdin, boolean terminal) {
            return new Streams(
                    stdin ? folder.resolve("stdin").toString() : "",
                    folder.resolve("stdout").toString(),
                    terminal ? "" : folder.resolve("stderr").toString(),
                    terminal);
        }
    }

    /** Makes the first process, which waits until it is started; returns its pid. */
    int create(String id, List<Mount> rootfs, Streams streams) {
        return call(() -> containerd
                .tasks()
                .create(CreateTaskRequest.newBuilder()
                        .setContainerId(id)
                        .addAllRootfs(rootfs)
                        .setStdin(streams.stdin())
                        .setStdout(streams.stdout())
                        .setStderr(streams.stderr())
                        .setTerminal(streams.terminal())
                        .build())
                .getPid());
    }

    /** Makes one more process, which waits until it is started. */
    void exec(String id, String execId, Any process, Streams streams) {
        call(() -> containerd
                .tasks()
                .exec(ExecProcessRequest.newBuilder()
                        .setContainerId(id)
                        .setExecId(execId)
                        .setSpec(process)
                        .setStdin(streams.stdin())
                        .setStdout(streams.stdout())
                        .setStderr(streams.stderr())
                        .setTerminal(streams.terminal())
                        .build()));
    }

    /** Starts a process; returns its pid. */
    int start(String id, String execId) {
        return call(() -> containerd
                .tasks()
                .start(StartRequest.newBuilder()
                        .setContainerId(id)
                        .setExecId(execId)
                        .build())
                .getPid());
    }

    /** Waits for the end of a process, also across restarts of containerd. */
    Exit await(String id, String execId) throws InterruptedException {
        while (true) {
            try {
                WaitResponse response = containerd
                        .tasks()
                        .withWaitForReady()
                        .wait(WaitRequest.newBuilder()
                                .setContainerId(id)
                                .setExecId(execId)
                                .build());
                return new Exit(response.getExitStatus(), Times.of(response.getExitedAt()));
            } catch (StatusRuntimeException e) {
                switch (e.getStatus().getCode()) {
                    case NOT_FOUND -> {
                        return new Exit(LOST, Instant.EPOCH);
                    }
                    case CANCELLED -> throw new InterruptedException();
                    default -> Thread.sleep(RETRY);
                }
            }
        }
    }

    /** Returns a process, or nothing when containerd does not know it. */
    Optional<Process> get(String id, String execId) {
        GetRequest request =
                GetRequest.newBuilder().setContainerId(id).setExecId(execId).build();
        return call(() -> Containerd.found(
                () -> containerd.tasks().withWaitForReady().get(request).getProcess()));
    }

    /**
     * Sends a signal.
     *
     * @return false when the process is over
     */
    boolean kill(String id, String execId, int signal, boolean all) {
        return unlessGone(() -> containerd
                .tasks()
                .kill(KillRequest.newBuilder()
                        .setContainerId(id)
                        .setExecId(execId)
                        .setSignal(signal)
                        .setAll(all)
                        .build()));
    }

    /** Forgets the first process, which must be over, and lets its shim go; one that is gone is no error. */
    void delete(String id) {
        unlessGone(() -> containerd
                .tasks()
                .delete(DeleteTaskRequest.newBuilder().setContainerId(id).build()));
    }

    void deleteExec(String id, String execId) {
        unlessGone(() -> containerd
                .tasks()
                .deleteProcess(DeleteProcessRequest.newBuilder()
                        .setContainerId(id)
                        .setExecId(execId)
                        .build()));
    }

    /** Closes the standard input of a process for good. */
    void closeInput(String id, String execId) {
        unlessGone(() -> containerd
                .tasks()
                .closeIO(CloseIORequest.newBuilder()
                        .setContainerId(id)
                        .setExecId(execId)
                        .setStdin(true)
                        .build()));
    }

    void resize(String id, String execId, int width, int height) {
        call(() -> containerd
                .tasks()
                .resizePty(ResizePtyRequest.newBuilder()
                        .setContainerId(id)
                        .setExecId(execId)
                        .setWidth(width)
                        .setHeight(height)
                        .build()));
    }

    void pause(String id) {
        call(() -> containerd
                .tasks()
                .pause(PauseTaskRequest.newBuilder().setContainerId(id).build()));
    }

    void resume(String id) {
        call(() -> containerd
                .tasks()
                .resume(ResumeTaskRequest.newBuilder().setContainerId(id).build()));
    }

    void update(String id, Any resources) {
        call(() -> containerd
                .tasks()
                .update(UpdateTaskRequest.newBuilder()
                        .setContainerId(id)
                        .setResources(resources)
                        .build()));
    }

    List<Integer> pids(String id) {
        return call(() ->
                containerd
                        .tasks()
                        .listPids(
                                ListPidsRequest.newBuilder().setContainerId(id).build())
                        .getProcessesList()
                        .stream()
                        .map(ProcessInfo::getPid)
                        .toList());
    }

    private static <T> T call(Supplier<T> call) {
        try {
            return call.get();
        } catch (StatusRuntimeException e) {
            throw translate(e);
        }
    }

    /** A shim goes when its processes are over, so one that has just hung up is as gone as one nobody knows. */
    private static <T> boolean unlessGone(Supplier<T> call) {
        try {
            return Containerd.found(call).isPresent();
        } catch (StatusRuntimeException e) {
            if (String.valueOf(e.getStatus().getDescription()).contains(HUNG_UP)) {
                return false;
            }
            throw translate(e);
        }
    }

    private static EngineException translate(StatusRuntimeException e) {
        String description = e.getStatus().getDescription();
        return new EngineException(
                switch (e.getStatus().getCode()) {
                    case NOT_FOUND -> EngineException.Kind.NOT_FOUND;
                    case INVALID_ARGUMENT -> EngineException.Kind.INVALID;
                    case ALREADY_EXISTS, FAILED_PRECONDITION -> EngineException.Kind.CONFLICT;
                    case UNAVAILABLE -> EngineException.Kind.UNAVAILABLE;
                    default -> EngineException.Kind.INTERNAL;
                },
                description == null ? "containerd: " + e.getStatus().getCode() : description,
                e);
    }
}
