package io.skep.daemon.config;

import io.skep.daemon.config.Json.Position;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A reader of RFC 8259 that tells the user where a mistake is: every value carries its line and column, a name that
 * comes twice is an error, and nothing may follow the value. The general reader of the API has neither, and a
 * configuration file is read by people. Nesting is limited to {@link #MAXIMUM_DEPTH}; a byte-order mark, as editors on
 * Windows write it, is skipped.
 */
final class JsonParser {
    static final int MAXIMUM_DEPTH = 32;

    private static final String END = "the end of the file";

    private final String text;
    private int index;
    private int line = 1;
    private int lineStart;

    private JsonParser(String text) {
        this.text = text;
    }

    /** A mistake in the file's JSON. */
    static final class SyntaxException extends Exception {
        private final transient Position position;

        SyntaxException(Position position, String message) {
            super(message);
            this.position = position;
        }

        Position position() {
            return position;
        }
    }

    static Json parse(byte[] bytes) throws SyntaxException {
        String text;
        try {
            text = StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(bytes))
                    .toString();
        } catch (CharacterCodingException e) {
            throw new SyntaxException(new Position(1, 1), "the file is not UTF-8 text");
        }
        JsonParser parser = new JsonParser(text.startsWith("\uFEFF") ? text.substring(1) : text);
        parser.skipSpace();
        Json value = parser.value(0);
        parser.skipSpace();
        if (parser.index < parser.text.length()) {
            throw parser.mistake("nothing may follow the value, but there is " + parser.here());
        }
        return value;
    }

    private Json value(int depth) throws SyntaxException {
        if (depth > MAXIMUM_DEPTH) {
            throw mistake("nested more than " + MAXIMUM_DEPTH + " deep");
        }
        Position position = position();
        return switch (peek()) {
            case '{' -> members(position, depth);
            case '[' -> array(position, depth);
            case '"' -> new Json.Text(position, string());
            case 't' -> literal("true", new Json.Bool(position, true));
            case 'f' -> literal("false", new Json.Bool(position, false));
            case 'n' -> literal("null", new Json.Null(position));
            case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9' -> new Json.Numeral(position, number());
            default -> throw mistake("a value is missing, there is " + here());
        };
    }

    private Json members(Position position, int depth) throws SyntaxException {
        List<Json.Member> members = new ArrayList<>();
        Map<String, Position> seen = new HashMap<>();
        index++;
        skipSpace();
        if (accept('}')) {
            return new Json.Members(position, List.of());
        }
        do {
            skipSpace();
            Position at = position();
            if (peek() != '"') {
                throw mistake("a key in double quotes is missing, there is " + here());
            }
            String name = string();
            Position first = seen.putIfAbsent(name, at);
            if (first != null) {
                throw new SyntaxException(
                        at, "\"" + name + "\" is there twice, first in line " + first.line() + "; remove one");
            }
            skipSpace();
            expect(':', "after the key \"" + name + "\"");
            skipSpace();
            members.add(new Json.Member(at, name, value(depth + 1)));
            skipSpace();
        } while (accept(','));
        expect('}', "or a comma");
        return new Json.Members(position, List.copyOf(members));
    }

    private Json array(Position position, int depth) throws SyntaxException {
        List<Json> elements = new ArrayList<>();
        index++;
        skipSpace();
        if (accept(']')) {
            return new Json.Array(position, List.of());
        }
        do {
            skipSpace();
            elements.add(value(depth + 1));
            skipSpace();
        } while (accept(','));
        expect(']', "or a comma");
        return new Json.Array(position, List.copyOf(elements));
    }

    private String string() throws SyntaxException {
        StringBuilder result = new StringBuilder();
        index++;
        while (true) {
            char c = peek();
            if (c == '"') {
                index++;
                return result.toString();
            } else if (c == '\\') {
                index++;
                result.append(escape());
            } else if (c < ' ') {
                throw mistake("a string does not end: there is " + here());
            } else {
                result.append(c);
                index++;
            }
        }
    }

    private char escape() throws SyntaxException {
        char c = peek();
        index++;
        return switch (c) {
            case '"', '\\', '/' -> c;
            case 'b' -> '\b';
            case 'f' -> '\f';
            case 'n' -> '\n';
            case 'r' -> '\r';
            case 't' -> '\t';
            case 'u' -> unicode();
            default -> {
                index--;
                throw mistake("\\" + c + " is no escape; a backslash itself is written \\\\");
            }
        };
    }

    private char unicode() throws SyntaxException {
        int value = 0;
        for (int i = 0; i < 4; i++) {
            int digit = Character.digit(peek(), 16);
            if (digit < 0) {
                throw mistake("\\u wants four hexadecimal digits, there is " + here());
            }
            value = value * 16 + digit;
            index++;
        }
        return (char) value;
    }

    private String number() throws SyntaxException {
        int start = index;
        accept('-');
        if (!accept('0')) {
            digits();
        }
        if (accept('.')) {
            digits();
        }
        if (accept('e') || accept('E')) {
            if (!accept('+')) {
                accept('-');
            }
            digits();
        }
        return text.substring(start, index);
    }

    private void digits() throws SyntaxException {
        int start = index;
        while (peek() >= '0' && peek() <= '9') {
            index++;
        }
        if (index == start) {
            throw mistake("a digit is missing, there is " + here());
        }
    }

    private Json literal(String word, Json value) throws SyntaxException {
        if (!text.startsWith(word, index)) {
            throw mistake(
                    "neither true, false, null, a number, a string, an array nor an object starts with " + here());
        }
        index += word.length();
        return value;
    }

    private void skipSpace() {
        while (index < text.length()) {
            char c = text.charAt(index);
            if (c == '\n') {
                line++;
                lineStart = index + 1;
            } else if (c != ' ' && c != '\t' && c != '\r') {
                return;
            }
            index++;
        }
    }

    private void expect(char c, String context) throws SyntaxException {
        if (!accept(c)) {
            throw mistake("'" + c + "' " + context + " is missing, there is " + here());
        }
    }

    private boolean accept(char c) {
        if (index < text.length() && text.charAt(index) == c) {
            index++;
            return true;
        }
        return false;
    }

    /** Returns the next character, or NUL at the end: NUL is no part of any token, so it ends all of them. */
    private char peek() {
        return index < text.length() ? text.charAt(index) : '\0';
    }

    private String here() {
        if (index >= text.length()) {
            return END;
        }
        char c = text.charAt(index);
        if (c == '\n' || c == '\r') {
            return "the end of the line";
        }
        return c < ' ' ? String.format("the character U+%04X", (int) c) : "'" + c + "'";
    }

    private Position position() {
        return new Position(line, index - lineStart + 1);
    }

    private SyntaxException mistake(String message) {
        return new SyntaxException(position(), message);
    }
}
