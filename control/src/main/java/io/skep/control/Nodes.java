package io.skep.control;

import io.skep.store.Event;
import io.skep.wire.Node;

/** Questions about changes of nodes that several control loops ask. */
final class Nodes {
    private Nodes() {}

    /** Returns whether the change may alter which tasks the node can or must have; most changes of nodes do not. */
    static boolean placementChanges(Event<Node> event) {
        Node before = event.before();
        Node after = event.after();
        return before == null
                || after == null
                || before.getRole() != after.getRole()
                || before.getStatus().getState() != after.getStatus().getState()
                || !before.getStatus().getAddr().equals(after.getStatus().getAddr())
                || !before.getSpec().equals(after.getSpec())
                || !before.getDescription().equals(after.getDescription());
    }
}
