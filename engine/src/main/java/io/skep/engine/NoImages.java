package io.skep.engine;

/** An engine that has no image. */
final class NoImages implements ImageSource {
    @Override
    public Image require(String reference, String platform) {
        throw EngineException.notFound("No such image: " + reference);
    }
}
