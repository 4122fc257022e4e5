/** The command line {@code skep}: what the docker CLI does not do. */
@NullMarked
package io.skep.cli;

import org.jspecify.annotations.NullMarked;
