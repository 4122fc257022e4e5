package io.skep.engine;

/** What is told of an image action while it is under way. */
public sealed interface ImageProgress {
    /**
     * Where the whole or a part of it stands.
     *
     * @param id of a layer in short, or a tag; empty for the whole
     */
    record Status(String id, String text) implements ImageProgress {}

    /**
     * How much of a layer is done.
     *
     * @param total bytes in all, 0 when that is not known
     */
    record Transfer(String id, String text, long current, long total) implements ImageProgress {}

    /** A line for the user as it is. */
    record Output(String text) implements ImageProgress {}

    /** A tag was sent to its registry. */
    record Pushed(String tag, String digest, long size) implements ImageProgress {}
}
