package io.skep.manager;

import io.skep.wire.CommandResult;

/**
 * What a command led to.
 *
 * @param result what the caller gets
 * @param version version of the state that holds the effect
 */
public record Executed(CommandResult result, long version) {}
