/**
 * The decisions of the leader, as pure functions: no input or output, no thread, no clock and no random source of its
 * own.
 */
@NullMarked
package io.skep.control;

import org.jspecify.annotations.NullMarked;
