package io.skep.engine;

/** The port through which tasks get the images they are made from. */
@FunctionalInterface
interface TaskImages {
    /**
     * Gets an image, in the newest state that its registry has.
     *
     * @param image a name with a tag or a digest
     * @param registryAuth what the registry asks for, as base64url of Docker's JSON; or empty
     * @throws EngineException when it cannot be had; one that is here already may do
     */
    void pull(String image, String registryAuth) throws InterruptedException;
}
