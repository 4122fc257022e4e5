package io.skep.engine;

import com.google.protobuf.ByteString;
import java.time.Instant;

/**
 * One line that a container wrote, or a piece of one that is too long.
 *
 * @param stream where the container wrote it
 * @param time when the engine read it
 * @param text with its line end; without one it is a piece, and the next line of the stream goes on
 */
public record LogLine(OutputStreamKind stream, Instant time, ByteString text) {}
