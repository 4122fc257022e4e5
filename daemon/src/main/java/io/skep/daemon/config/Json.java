package io.skep.daemon.config;

import java.util.List;

/** A JSON value that knows where it stands in its file. */
sealed interface Json {
    Position position();

    /** The name of the value's type, with its article, for messages. */
    String typeName();

    /** A place in a file; line and column count from 1, columns in characters. */
    record Position(int line, int column) {}

    record Text(Position position, String value) implements Json {
        @Override
        public String typeName() {
            return "a string";
        }
    }

    /** A number, as it was written. */
    record Numeral(Position position, String value) implements Json {
        @Override
        public String typeName() {
            return "a number";
        }
    }

    record Bool(Position position, boolean value) implements Json {
        @Override
        public String typeName() {
            return "a boolean";
        }
    }

    record Null(Position position) implements Json {
        @Override
        public String typeName() {
            return "null";
        }
    }

    record Array(Position position, List<Json> elements) implements Json {
        @Override
        public String typeName() {
            return "an array";
        }
    }

    /** An object, its members in the order of the file. */
    record Members(Position position, List<Member> members) implements Json {
        @Override
        public String typeName() {
            return "an object";
        }
    }

    record Member(Position position, String name, Json value) {}
}
