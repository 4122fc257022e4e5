@NullMarked
package io.skep.manager;

import org.jspecify.annotations.NullMarked;
