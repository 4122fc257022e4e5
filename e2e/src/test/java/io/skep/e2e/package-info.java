/**
 * Tests that run real daemons on hosts made of network namespaces, driven by the real docker CLI. What must equal
 * Docker Swarm runs against real Docker Engines too, so that the test itself is known to be right.
 */
@NullMarked
package io.skep.e2e;

import org.jspecify.annotations.NullMarked;
