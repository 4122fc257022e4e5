/** This node's own part in a cluster: how it comes in, what it keeps on disk, what it becomes, and how it leaves. */
@NullMarked
package io.skep.daemon.node;

import org.jspecify.annotations.NullMarked;
