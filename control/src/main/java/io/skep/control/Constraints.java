package io.skep.control;

import io.skep.wire.Node;
import io.skep.wire.Placement;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/** Reader of placement constraints, {@code key==value} and {@code key!=value} (swarm-wire 6.9). */
final class Constraints {
    private static final Pattern KEY = Pattern.compile("(?i)[a-z_][a-z0-9\\-_.]+");
    private static final Pattern VALUE = Pattern.compile("(?i)[a-z0-9:\\-_\\s.*()?+\\[\\]\\\\^$|/]+");

    private Constraints() {}

    /**
     * Reads constraints.
     *
     * @throws CommandException {@code UNKNOWN}, as Docker answers, if one is not understood
     */
    static List<Constraint> parse(List<String> expressions) {
        List<Constraint> constraints = new ArrayList<>(expressions.size());
        for (String expression : expressions) {
            constraints.add(parse(expression));
        }
        return constraints;
    }

    /** Returns the constraints of a placement; one that is not understood, which no command lets in, binds nobody. */
    static List<Constraint> of(Placement placement) {
        if (placement.getConstraintsCount() == 0) {
            return List.of();
        }
        try {
            return parse(placement.getConstraintsList());
        } catch (CommandException e) {
            return List.of();
        }
    }

    static boolean match(List<Constraint> constraints, Node node) {
        for (Constraint constraint : constraints) {
            if (!constraint.matches(node)) {
                return false;
            }
        }
        return true;
    }

    private static Constraint parse(String expression) {
        int at = expression.indexOf("==");
        boolean equal = at >= 0;
        if (!equal) {
            at = expression.indexOf("!=");
        }
        if (at < 0) {
            throw invalid("constraint expected one operator from ==, !=");
        }
        String key = expression.substring(0, at).strip();
        if (!KEY.matcher(key).matches()) {
            throw invalid("key '" + key + "' is invalid");
        }
        String value = expression.substring(at + 2).strip();
        if (!VALUE.matcher(value).matches()) {
            throw invalid("value '" + value + "' is invalid");
        }
        return new Constraint(key, equal, value);
    }

    private static CommandException invalid(String message) {
        return new CommandException(CommandException.Code.UNKNOWN, message);
    }
}
