package io.skep.agent;

import io.skep.wire.Peer;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The manager on the same node as an agent, where there is one. */
public interface OwnManager {
    /** Returns where it is, to be called as long as it answers; null while there is none. */
    @Nullable
    Peer peer();

    /**
     * Returns the managers that it knows of. While it serves nobody the node may be told of no manager any more, and
     * these may be the only ones that could tell it what it is to be.
     */
    List<Peer> others();
}
