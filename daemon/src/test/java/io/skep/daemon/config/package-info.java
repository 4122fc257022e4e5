@NullMarked
package io.skep.daemon.config;

import org.jspecify.annotations.NullMarked;
