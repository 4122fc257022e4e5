package io.skep.engine;

import io.skep.engine.record.Config;

/** The port through which containers find the image they are made from. */
interface ImageSource {
    /**
     * An image that is there, unpacked.
     *
     * @param id digest of its configuration
     * @param manifestDigest digest of its manifest
     * @param config what it says of its containers
     * @param chainId name of its topmost snapshot; empty for an image without layers
     * @param platform such as linux/arm64
     */
    record Image(String id, String manifestDigest, Config config, String chainId, String platform) {}

    /**
     * Finds an image and unpacks it, if that was not done yet.
     *
     * @param reference a name, a digest, an id or the beginning of one
     * @param platform the one wanted, or empty for that of this host
     * @throws EngineException NOT_FOUND with Docker's words when it is not there
     */
    Image require(String reference, String platform);
}
