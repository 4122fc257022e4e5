/** Containers, images and their logs, on containerd. */
@NullMarked
package io.skep.engine;

import org.jspecify.annotations.NullMarked;
