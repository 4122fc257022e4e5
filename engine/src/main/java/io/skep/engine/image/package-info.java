/** Images as the rest of the world knows them: names, platforms, documents, and the registries that hold them. */
@NullMarked
package io.skep.engine.image;

import org.jspecify.annotations.NullMarked;
