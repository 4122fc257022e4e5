@NullMarked
package io.skep.certs;

import org.jspecify.annotations.NullMarked;
