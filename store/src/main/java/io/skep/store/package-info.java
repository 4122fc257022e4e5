/**
 * The state of the cluster: tables, indexes, transactions, snapshots and watches, and the port through which managers
 * agree on it.
 */
@NullMarked
package io.skep.store;

import org.jspecify.annotations.NullMarked;
