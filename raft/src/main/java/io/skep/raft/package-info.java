@NullMarked
package io.skep.raft;

import org.jspecify.annotations.NullMarked;
