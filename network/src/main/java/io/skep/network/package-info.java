@NullMarked
package io.skep.network;

import org.jspecify.annotations.NullMarked;
