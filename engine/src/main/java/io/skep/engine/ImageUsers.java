package io.skep.engine;

import java.util.List;

/** The port through which images know who needs them. */
interface ImageUsers {
    /** A container that was made from an image. */
    record User(String containerId, String imageId, boolean running) {}

    List<User> users();
}
