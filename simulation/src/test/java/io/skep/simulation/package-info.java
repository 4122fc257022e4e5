@NullMarked
package io.skep.simulation;

import org.jspecify.annotations.NullMarked;
