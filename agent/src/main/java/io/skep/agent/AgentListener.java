package io.skep.agent;

import io.grpc.Status;
import io.skep.wire.SessionMessage;

/** What an agent tells its owner; called on its serial executor, must return soon. */
public interface AgentListener {
    /** A manager accepted this node. */
    void registered();

    /** A manager sent the node, the managers and the keys as they are now. */
    void message(SessionMessage message);

    /**
     * A session ended or could not be made; the next one is on its way.
     *
     * @param registered whether the manager had accepted the node
     */
    void disconnected(boolean registered, Status status);
}
