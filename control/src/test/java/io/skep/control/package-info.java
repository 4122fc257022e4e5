@NullMarked
package io.skep.control;

import org.jspecify.annotations.NullMarked;
