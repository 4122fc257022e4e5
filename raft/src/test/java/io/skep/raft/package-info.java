/** Tests of the replicated log. */
@NullMarked
package io.skep.raft;

import org.jspecify.annotations.NullMarked;
