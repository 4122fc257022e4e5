/** The replicated log: a deterministic Raft core, its files, and the threads that run it. */
@NullMarked
package io.skep.raft;

import org.jspecify.annotations.NullMarked;
