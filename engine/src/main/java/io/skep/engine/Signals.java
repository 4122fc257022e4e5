package io.skep.engine;

import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/** The names of Linux's signals. */
final class Signals {
    static final int KILL = 9;
    static final int TERM = 15;
    private static final int LAST = 64;
    private static final String[] NAMES = {
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS"
    };
    private static final Map<String, Integer> NUMBERS = new HashMap<>();

    static {
        for (int i = 0; i < NAMES.length; i++) {
            NUMBERS.put(NAMES[i], i + 1);
        }
        NUMBERS.put("IOT", 6);
        NUMBERS.put("CLD", 17);
        NUMBERS.put("POLL", 29);
        for (int i = 0; i <= 30; i++) {
            NUMBERS.put(i == 0 ? "RTMIN" : "RTMIN+" + i, 34 + i);
            NUMBERS.put(i == 0 ? "RTMAX" : "RTMAX-" + i, LAST - i);
        }
    }

    private Signals() {}

    /**
     * Returns the number of a signal.
     *
     * @param text a number, or a name with or without SIG; empty for the default
     * @throws EngineException INVALID when there is no such signal
     */
    static int number(String text, int normal) {
        if (text.isEmpty()) {
            return normal;
        }
        String upper = text.toUpperCase(Locale.ROOT);
        Integer number = NUMBERS.get(upper.startsWith("SIG") ? upper.substring(3) : upper);
        if (number == null && text.length() <= 3 && text.chars().allMatch(each -> each >= '0' && each <= '9')) {
            number = Integer.parseInt(text);
        }
        if (number == null || number < 1 || number > LAST) {
            throw EngineException.invalid("Invalid signal: " + text);
        }
        return number;
    }
}
