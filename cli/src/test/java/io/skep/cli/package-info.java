@NullMarked
package io.skep.cli;

import org.jspecify.annotations.NullMarked;
