/**
 * X.509 for Skep: roots and node certificates of a swarm, join tokens and unlock keys, their files and their renewal,
 * and the TLS identities made of them.
 */
@NullMarked
package io.skep.certs;

import org.jspecify.annotations.NullMarked;
