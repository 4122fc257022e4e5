/** Tests of the state of the cluster. */
@NullMarked
package io.skep.store;

import org.jspecify.annotations.NullMarked;
