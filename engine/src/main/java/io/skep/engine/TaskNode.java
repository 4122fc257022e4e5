package io.skep.engine;

/**
 * What the tasks of a swarm may learn of the node they run on.
 *
 * @param hostname of the node
 * @param architecture in the spelling of {@code uname}
 * @param os such as linux
 */
public record TaskNode(String hostname, String architecture, String os) {}
