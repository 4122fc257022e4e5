/** What skepd can be told, where it was told, and what follows from it. */
@NullMarked
package io.skep.daemon.config;

import org.jspecify.annotations.NullMarked;
