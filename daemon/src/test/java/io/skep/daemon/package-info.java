@NullMarked
package io.skep.daemon;

import org.jspecify.annotations.NullMarked;
