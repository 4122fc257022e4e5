package io.skep.daemon.node;

import io.skep.agent.EnrolmentException;
import io.skep.api.ApiException;
import io.skep.control.CommandException;
import java.util.Locale;

/** The refusals of swarm commands, in the words of Docker (swarm-wire 8.2), whose users and scripts know them. */
final class Refusals {
    private static final String LEAVING_MANAGER =
            "You are attempting to leave the swarm on a node that is participating as a manager. ";
    private static final String NO_WAY_BACK =
            "The only way to restore a swarm that has lost consensus is to reinitialize it with `--force-new-cluster`."
                    + " Use `--force` to suppress this message.";

    private Refusals() {}

    static ApiException alreadyPart() {
        return new ApiException(
                503,
                "This node is already part of a swarm. Use \"docker swarm leave\" to leave this swarm and join another"
                        + " one.");
    }

    static ApiException notPart() {
        return new ApiException(503, "This node is not part of a swarm");
    }

    static ApiException locked() {
        return new ApiException(503, lockedText());
    }

    static String lockedText() {
        return "Swarm is encrypted and needs to be unlocked before it can be used. Please use \"docker swarm unlock\" to"
                + " unlock it.";
    }

    static ApiException leaveLocked() {
        return new ApiException(
                503, "Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message.");
    }

    static ApiException wrongUnlockKey() {
        return new ApiException(401, "swarm could not be unlocked: invalid key provided");
    }

    static ApiException notLocked() {
        return new ApiException(409, "swarm is not locked");
    }

    static ApiException joinTimeout() {
        return new ApiException(
                503,
                "Timeout was reached before node joined. The attempt to join the swarm will continue in the background."
                        + " Use the \"docker info\" command to see the current swarm status of your node.");
    }

    static String managedByDocker(String nodeId) {
        return "the managers of this swarm are Docker Engines, with which Skep can be a worker but not a manager; remove"
                + " node " + nodeId + " there with `docker node rm --force`, and join with the worker token";
    }

    /**
     * A manager must not leave by accident.
     *
     * @param reachable managers that answer, this one among them
     * @param unreachable managers that do not
     */
    static ApiException leavingManager(long reachable, long unreachable) {
        if (reachable + unreachable == 1) {
            return new ApiException(
                    503,
                    LEAVING_MANAGER
                            + "Removing the last manager erases all current state of the swarm. Use `--force` to ignore"
                            + " this message. ");
        }
        String loss = reachable - 2 <= unreachable
                ? "Removing this node leaves " + (reachable - 1) + " managers out of " + (reachable + unreachable)
                        + ". Without a Raft quorum your swarm will be inaccessible. "
                : "";
        return new ApiException(503, LEAVING_MANAGER + loss + NO_WAY_BACK);
    }

    /** A manager that has lost its cluster must not leave by accident either. */
    static ApiException leavingLostManager() {
        return new ApiException(
                503, LEAVING_MANAGER + "Doing so may lose the consensus of your cluster. " + NO_WAY_BACK);
    }

    static ApiException of(EnrolmentException e) {
        return e.code()
                .map(code ->
                        new ApiException(httpStatus(code.name()), grpc(code.name(), String.valueOf(e.getMessage()))))
                .orElseGet(() -> new ApiException(500, String.valueOf(e.getMessage())));
    }

    static ApiException of(CommandException e) {
        return new ApiException(httpStatus(e.code().name()), grpc(e.code().name(), e.text()));
    }

    private static String grpc(String code, String text) {
        StringBuilder camel = new StringBuilder();
        for (String word : code.split("_", -1)) {
            camel.append(word.charAt(0)).append(word.substring(1).toLowerCase(Locale.ROOT));
        }
        return "rpc error: code = " + camel + " desc = " + text;
    }

    private static int httpStatus(String code) {
        return switch (code) {
            case "INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE" -> 400;
            case "UNAUTHENTICATED" -> 401;
            case "PERMISSION_DENIED" -> 403;
            case "NOT_FOUND" -> 404;
            case "ALREADY_EXISTS" -> 409;
            case "UNIMPLEMENTED" -> 501;
            case "UNAVAILABLE" -> 503;
            default -> 500;
        };
    }
}
