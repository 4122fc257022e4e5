@NullMarked
package io.skep.agent;

import org.jspecify.annotations.NullMarked;
