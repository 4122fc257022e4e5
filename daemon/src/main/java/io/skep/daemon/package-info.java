/** skepd: it puts a node together from its configuration, starts it, serves the API and stops it. */
@NullMarked
package io.skep.daemon;

import org.jspecify.annotations.NullMarked;
