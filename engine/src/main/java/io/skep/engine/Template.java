package io.skep.engine;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A text with placeholders in the language of Go's text/template, as far as the specifications of services use it.
 *
 * <p>Understood: fields ({@code {{.Node.Hostname}}}), text and whole numbers, parentheses, pipelines, {@code if},
 * {@code else}, {@code else if} and {@code end}, comments, trimming ({@code {{-} and {@code -}}}), and the functions
 * and, eq, index, join, len, ne, not, or, print, printf (%s, %d, %v and %q), slice, and those that the caller adds.
 * Everything else is refused by name: a template is never expanded to something that its author did not mean.
 *
 * <p>Text nests at most as deep as the thread's stack allows for {@link #DEPTH_MAX} levels; a deeper one is refused.
 */
final class Template {
    private static final int DEPTH_MAX = 100;
    private static final Pattern DIRECTIVE = Pattern.compile("%([-0-9.]*)([a-zA-Z%])");
    private static final Pattern BLANK_BEFORE = Pattern.compile("\\s+$");
    private static final Pattern BLANK_AFTER = Pattern.compile("^\\s+");

    /** What the caller adds to the language: gets the arguments, and returns text, a number, a truth or a map. */
    interface Call extends Function<List<Object>, Object> {}

    private sealed interface Token {}

    private record Word(String text) implements Token {}

    private record Literal(Object value) implements Token {}

    private record Field(List<String> names) implements Token {}

    private record Mark(char sign) implements Token {}

    private sealed interface Node {}

    private record Text(String text) implements Node {}

    private record Action(List<Token> tokens, String source) implements Node {}

    private final List<Node> nodes = new ArrayList<>();
    private final Map<String, Object> data;
    private final Map<String, Call> calls = new HashMap<>();

    /** Where the reading of an action is. */
    private List<Token> tokens = List.of();

    private int next;
    private int depth;

    private Template(String source, Map<String, Object> data, Map<String, Call> more) {
        this.data = data;
        calls.put("index", Template::index);
        calls.put("join", Template::join);
        calls.put("eq", arguments -> equal(arguments));
        calls.put("ne", arguments -> !equal(arguments));
        calls.put(
                "and",
                arguments -> arguments.stream()
                        .filter(each -> !isTrue(each))
                        .findFirst()
                        .orElseGet(arguments::getLast));
        calls.put(
                "or",
                arguments ->
                        arguments.stream().filter(Template::isTrue).findFirst().orElseGet(arguments::getLast));
        calls.put("not", arguments -> !isTrue(only(arguments, "not")));
        calls.put("len", arguments -> length(only(arguments, "len")));
        calls.put("print", Template::print);
        calls.put("printf", Template::format);
        calls.put("slice", Template::slice);
        calls.putAll(more);
        split(source);
    }

    /**
     * Returns the text with its placeholders filled in.
     *
     * @param data what fields name: text, numbers and maps of those
     * @param more functions besides the common ones
     * @throws EngineException INVALID when the text is no such template, with what is wrong with it
     */
    static String expand(String source, Map<String, Object> data, Map<String, Call> more) {
        if (!source.contains("{{")) {
            return source;
        }
        StringBuilder into = new StringBuilder();
        Template template = new Template(source, data, more);
        int end = template.run(0, true, into);
        if (end < template.nodes.size()) {
            throw bad("unexpected {{" + ((Action) template.nodes.get(end)).source() + "}}");
        }
        return into.toString();
    }

    // ---- reading

    private void split(String source) {
        int at = 0;
        boolean trim = false;
        while (true) {
            int open = source.indexOf("{{", at);
            String text = open < 0 ? source.substring(at) : source.substring(at, open);
            if (trim) {
                text = BLANK_AFTER.matcher(text).replaceFirst("");
            }
            if (open < 0) {
                nodes.add(new Text(text));
                return;
            }
            int close = closeOf(source, open + 2);
            String inside = source.substring(open + 2, close);
            if (inside.startsWith("- ")) {
                inside = inside.substring(1);
                text = BLANK_BEFORE.matcher(text).replaceFirst("");
            }
            trim = inside.endsWith(" -");
            if (trim) {
                inside = inside.substring(0, inside.length() - 1);
            }
            nodes.add(new Text(text));
            String stripped = inside.strip();
            if (!stripped.startsWith("/*")) {
                nodes.add(new Action(tokens(stripped), stripped));
            }
            at = close + 2;
        }
    }

    private static int closeOf(String source, int from) {
        char quote = 0;
        boolean escape = false;
        for (int i = from; i < source.length(); i++) {
            char c = source.charAt(i);
            if (escape) {
                escape = false;
            } else if (quote != 0) {
                escape = c == '\\' && quote == '"';
                quote = c == quote ? 0 : quote;
            } else if (c == '"' || c == '`') {
                quote = c;
            } else if (source.startsWith("}}", i)) {
                return i;
            }
        }
        throw bad("unclosed action");
    }

    private static List<Token> tokens(String inside) {
        List<Token> found = new ArrayList<>();
        int at = 0;
        while (at < inside.length()) {
            char c = inside.charAt(at);
            int end = at + 1;
            if (Character.isWhitespace(c)) {
                at = end;
                continue;
            }
            if (c == '|' || c == '(' || c == ')') {
                found.add(new Mark(c));
            } else if (c == '"' || c == '`') {
                while (inside.charAt(end) != c) {
                    end += c == '"' && inside.charAt(end) == '\\' ? 2 : 1;
                }
                end++;
                String quoted = inside.substring(at + 1, end - 1);
                found.add(new Literal(c == '"' ? unescape(quoted) : quoted));
            } else if (c == '.') {
                while (end < inside.length() && (isWordPart(inside.charAt(end)) || inside.charAt(end) == '.')) {
                    end++;
                }
                String path = inside.substring(at + 1, end);
                if (path.isEmpty() || path.endsWith(".") || path.contains("..")) {
                    throw bad("unexpected <.> in {{" + inside + "}}: name a field, such as .Node.Hostname");
                }
                found.add(new Field(List.of(path.split("\\.", -1))));
            } else if (isWordPart(c) || c == '-') {
                while (end < inside.length() && isWordPart(inside.charAt(end))) {
                    end++;
                }
                found.add(word(inside.substring(at, end)));
            } else {
                throw bad("unexpected \"" + c + "\" in {{" + inside + "}}");
            }
            at = end;
        }
        if (found.isEmpty()) {
            throw bad("missing value for command");
        }
        return found;
    }

    private static boolean isWordPart(char c) {
        return Character.isLetterOrDigit(c) || c == '_';
    }

    private static Token word(String text) {
        if (text.equals("true") || text.equals("false")) {
            return new Literal(Boolean.valueOf(text));
        }
        if (Character.isDigit(text.charAt(0)) || text.charAt(0) == '-') {
            try {
                return new Literal(Long.valueOf(text));
            } catch (NumberFormatException e) {
                throw bad("bad number syntax: \"" + text + "\"");
            }
        }
        return new Word(text);
    }

    private static String unescape(String quoted) {
        StringBuilder text = new StringBuilder();
        boolean escape = false;
        for (int i = 0; i < quoted.length(); i++) {
            char c = quoted.charAt(i);
            if (escape) {
                text.append(
                        switch (c) {
                            case 'n' -> '\n';
                            case 't' -> '\t';
                            case 'r' -> '\r';
                            case '\\', '"' -> c;
                            default -> throw bad("the escape \\" + c + " is not supported");
                        });
                escape = false;
            } else if (c == '\\') {
                escape = true;
            } else {
                text.append(c);
            }
        }
        return text.toString();
    }

    // ---- running

    /** Runs from a node to the one that ends its block; returns the index of that one, which is left to the caller. */
    private int run(int from, boolean shown, StringBuilder into) {
        if (++depth > DEPTH_MAX) {
            throw bad("more than " + DEPTH_MAX + " blocks within each other");
        }
        int at = from;
        while (at < nodes.size()) {
            switch (nodes.get(at)) {
                case Text text -> {
                    if (shown) {
                        into.append(text.text());
                    }
                }
                case Action action -> {
                    switch (keyword(action)) {
                        case "if" -> at = choose(at, action, 1, shown, into);
                        case "else", "end" -> {
                            depth--;
                            return at;
                        }
                        case "range", "with", "define", "template", "block", "break", "continue" ->
                            throw bad("{{" + keyword(action) + "}} is not supported");
                        default -> {
                            if (shown) {
                                into.append(shown(evaluate(action, 0)));
                            }
                        }
                    }
                }
            }
            at++;
        }
        depth--;
        return at;
    }

    private static String keyword(Action action) {
        return action.tokens().getFirst() instanceof Word word ? word.text() : "";
    }

    /** Runs an if with all its branches; returns the index of its end. */
    private int choose(int at, Action action, int conditionAt, boolean shown, StringBuilder into) {
        boolean taken = shown && isTrue(evaluate(action, conditionAt));
        int stop = run(at + 1, taken, into);
        if (stop == nodes.size()) {
            throw bad("unexpected EOF: {{if}} without {{end}}");
        }
        Action ended = (Action) nodes.get(stop);
        if (keyword(ended).equals("end")) {
            return stop;
        }
        boolean rest = shown && !taken;
        if (ended.tokens().size() > 1) {
            if (!ended.tokens().get(1).equals(new Word("if"))) {
                throw bad("unexpected {{" + ended.source() + "}}");
            }
            return choose(stop, ended, 2, rest, into);
        }
        int end = run(stop + 1, rest, into);
        if (end == nodes.size() || !keyword((Action) nodes.get(end)).equals("end")) {
            throw bad("{{else}} without {{end}}");
        }
        return end;
    }

    private Object evaluate(Action action, int from) {
        tokens = action.tokens();
        next = from;
        Object value = pipeline();
        if (next < tokens.size()) {
            throw bad("unexpected text behind a value in {{" + action.source() + "}}");
        }
        return value;
    }

    private Object pipeline() {
        Object value = command(null);
        while (next < tokens.size() && tokens.get(next).equals(new Mark('|'))) {
            next++;
            value = command(value);
        }
        return value;
    }

    /** @param piped the last argument, from the command before, or null */
    private Object command(@Nullable Object piped) {
        if (next == tokens.size()) {
            throw bad("missing value for command");
        }
        if (!(tokens.get(next) instanceof Word word)) {
            if (piped != null) {
                throw bad("can't give argument to non-function");
            }
            return operand();
        }
        next++;
        Call call = calls.get(word.text());
        if (call == null) {
            throw bad("function \"" + word.text() + "\" not defined");
        }
        List<Object> arguments = new ArrayList<>();
        while (next < tokens.size()
                && !(tokens.get(next) instanceof Mark mark && Set.of('|', ')').contains(mark.sign()))) {
            arguments.add(operand());
        }
        if (piped != null) {
            arguments.add(piped);
        }
        if (arguments.isEmpty()) {
            throw bad("wrong number of args for " + word.text() + ": want at least 1 got 0");
        }
        return call.apply(arguments);
    }

    private Object operand() {
        Token token = tokens.get(next++);
        return switch (token) {
            case Literal literal -> literal.value();
            case Field field -> field(field.names());
            case Word word -> {
                next--;
                yield command(null);
            }
            case Mark mark -> {
                if (mark.sign() != '(' || ++depth > DEPTH_MAX) {
                    throw bad("unexpected \"" + mark.sign() + "\"");
                }
                Object value = pipeline();
                depth--;
                if (next == tokens.size() || !tokens.get(next++).equals(new Mark(')'))) {
                    throw bad("unclosed left paren");
                }
                yield value;
            }
        };
    }

    private Object field(List<String> names) {
        Object value = data;
        for (String name : names) {
            Object inner = value instanceof Map<?, ?> map ? map.get(name) : null;
            if (inner == null) {
                throw bad("can't evaluate field " + name + " in ." + String.join(".", names));
            }
            value = inner;
        }
        return value;
    }

    // ---- the common functions

    private static Object only(List<Object> arguments, String function) {
        if (arguments.size() != 1) {
            throw bad("wrong number of args for " + function + ": want 1 got " + arguments.size());
        }
        return arguments.getFirst();
    }

    private static Object index(List<Object> arguments) {
        Object value = arguments.getFirst();
        for (Object key : arguments.subList(1, arguments.size())) {
            if (!(value instanceof Map<?, ?> map)) {
                throw bad("can't index " + shown(value));
            }
            Object inner = map.get(key);
            value = inner == null ? "" : inner;
        }
        return value;
    }

    private static Object join(List<Object> arguments) {
        return String.join(
                shown(arguments.getFirst()),
                arguments.subList(1, arguments.size()).stream()
                        .map(Template::shown)
                        .toList());
    }

    private static boolean equal(List<Object> arguments) {
        if (arguments.size() < 2) {
            throw bad("missing argument for comparison");
        }
        return arguments.subList(1, arguments.size()).contains(arguments.getFirst());
    }

    private static Object length(Object value) {
        return switch (value) {
            case String text -> (long) text.length();
            case Map<?, ?> map -> (long) map.size();
            default -> throw bad("len of " + value);
        };
    }

    private static Object slice(List<Object> arguments) {
        String text = shown(arguments.getFirst());
        try {
            int from = arguments.size() > 1 ? Math.toIntExact((Long) arguments.get(1)) : 0;
            int to = arguments.size() > 2 ? Math.toIntExact((Long) arguments.get(2)) : text.length();
            return text.substring(from, to);
        } catch (ClassCastException | ArithmeticException | IndexOutOfBoundsException e) {
            throw bad("slice: index out of range");
        }
    }

    private static Object print(List<Object> arguments) {
        StringBuilder text = new StringBuilder();
        Object before = "";
        for (Object each : arguments) {
            // Like Go: a space stands between two values neither of which is text.
            if (!text.isEmpty() && !(before instanceof String) && !(each instanceof String)) {
                text.append(' ');
            }
            text.append(shown(each));
            before = each;
        }
        return text.toString();
    }

    private static Object format(List<Object> arguments) {
        Matcher directive = DIRECTIVE.matcher(shown(arguments.getFirst()));
        StringBuilder text = new StringBuilder();
        int[] used = {1};
        while (directive.find()) {
            String kind = directive.group(2);
            if (kind.equals("%")) {
                directive.appendReplacement(text, "%");
                continue;
            }
            if (used[0] == arguments.size()) {
                throw bad("printf: too few values for " + shown(arguments.getFirst()));
            }
            Object value = arguments.get(used[0]++);
            String formatted = switch (kind) {
                case "s", "v" -> String.format("%" + directive.group(1) + "s", shown(value));
                case "q" -> "\"" + shown(value).replace("\\", "\\\\").replace("\"", "\\\"") + "\"";
                case "d" -> {
                    if (!(value instanceof Long)) {
                        throw bad("printf: %d of \"" + shown(value) + "\", which is no number");
                    }
                    yield String.format("%" + directive.group(1) + "d", value);
                }
                default -> throw bad("printf: %" + kind + " is not supported");
            };
            directive.appendReplacement(text, Matcher.quoteReplacement(formatted));
        }
        directive.appendTail(text);
        return text.toString();
    }

    private static boolean isTrue(Object value) {
        return switch (value) {
            case Boolean truth -> truth;
            case String text -> !text.isEmpty();
            case Long number -> number != 0;
            case Map<?, ?> map -> !map.isEmpty();
            default -> true;
        };
    }

    private static String shown(Object value) {
        if (!(value instanceof Map<?, ?> map)) {
            return String.valueOf(value);
        }
        StringBuilder text = new StringBuilder("map[");
        map.entrySet().stream()
                .map(each -> each.getKey() + ":" + shown(each.getValue()))
                .sorted()
                .forEach(each -> text.append(text.length() > 4 ? " " : "").append(each));
        return text.append(']').toString();
    }

    private static EngineException bad(String reason) {
        return EngineException.invalid("template: " + reason);
    }
}
