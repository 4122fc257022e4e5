@NullMarked
package io.skep.load;

import org.jspecify.annotations.NullMarked;
