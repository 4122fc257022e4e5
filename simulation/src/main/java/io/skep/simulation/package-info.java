/** The whole control plane in one thread, under virtual time, with faults from a seed. */
@NullMarked
package io.skep.simulation;

import org.jspecify.annotations.NullMarked;
