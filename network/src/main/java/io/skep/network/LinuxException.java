package io.skep.network;

import java.io.IOException;

/** The kernel refused what it was asked for. */
public final class LinuxException extends IOException {
    static final int EPERM = 1;
    static final int ENOENT = 2;
    static final int ESRCH = 3;
    static final int EACCES = 13;
    static final int EEXIST = 17;
    static final int ENODEV = 19;
    static final int EINVAL = 22;
    static final int EPROTONOSUPPORT = 93;
    static final int ESOCKTNOSUPPORT = 94;
    static final int EAFNOSUPPORT = 97;
    static final int EADDRINUSE = 98;
    static final int EADDRNOTAVAIL = 99;

    private final int number;

    LinuxException(String what, int number) {
        super(what + ": " + text(number));
        this.number = number;
    }

    /** Returns the number of the error, as errno.h has it. */
    int number() {
        return number;
    }

    private static String text(int number) {
        return switch (number) {
            case EPERM -> "operation not permitted";
            case ENOENT -> "no such file or directory";
            case ESRCH -> "no such process or route";
            case EACCES -> "permission denied";
            case EEXIST -> "it is there already";
            case 16 -> "device or resource busy";
            case ENODEV -> "no such device";
            case EINVAL -> "invalid argument";
            case EPROTONOSUPPORT -> "protocol not supported";
            case ESOCKTNOSUPPORT -> "socket type not supported";
            case 95 -> "operation not supported";
            case EAFNOSUPPORT -> "address family not supported";
            case EADDRINUSE -> "address already in use";
            case EADDRNOTAVAIL -> "cannot assign requested address";
            case 101 -> "network is unreachable";
            default -> "error " + number;
        };
    }
}
