/** What a manager serves to nodes: certificate authority, dispatcher, log broker; and who leads. */
@NullMarked
package io.skep.manager;

import org.jspecify.annotations.NullMarked;
