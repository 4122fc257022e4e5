package io.skep.daemon.config;

import java.nio.file.Path;

/** The place a value came from; the order of the cases is the order of precedence, weakest first. */
public sealed interface Source {
    /** Built into Skep. */
    record Default() implements Source {
        @Override
        public String toString() {
            return "default";
        }
    }

    /** An environment variable. */
    record Environment(String variable) implements Source {
        @Override
        public String toString() {
            return "environment " + variable;
        }
    }

    /** The configuration file; line and column count from 1. */
    record File(Path path, int line, int column) implements Source {
        @Override
        public String toString() {
            return path + ":" + line + ":" + column;
        }
    }

    /** The command line. */
    record Flag(String name) implements Source {
        @Override
        public String toString() {
            return "flag " + name;
        }
    }
}
