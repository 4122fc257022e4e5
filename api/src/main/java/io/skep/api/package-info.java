/** The Docker Engine HTTP API: routes, JSON, streams and TLS. */
@NullMarked
package io.skep.api;

import org.jspecify.annotations.NullMarked;
