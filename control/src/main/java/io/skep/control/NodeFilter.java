package io.skep.control;

/** A reason why a node cannot take a task, in the order in which they are tried (swarm-wire 6.10). */
enum NodeFilter {
    READY("not available for new tasks"),
    RESOURCES("insufficient resources on"),
    PLUGIN("missing plugin on"),
    CONSTRAINT("scheduling constraints not satisfied on"),
    PLATFORM("unsupported platform on"),
    HOST_PORT("host-mode port already in use on"),
    MAX_REPLICAS("max replicas per node limit exceed"),
    VOLUMES("cannot fulfill requested CSI volume mounts on");

    private final String text;

    NodeFilter(String text) {
        this.text = text;
    }

    /** Returns the words, as Docker has them, for that many nodes which were turned down for this reason. */
    String explain(int count) {
        String nodes = count == 1 ? "1 node" : count + " nodes";
        return switch (this) {
            case READY -> nodes + " " + text;
            case MAX_REPLICAS -> text;
            default -> text + " " + nodes;
        };
    }
}
