package io.skep.cli;

import io.skep.certs.CredentialException;
import io.skep.daemon.config.ConfigurationException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.util.Objects;
import picocli.CommandLine;

/** How failures are told: one line for what a user can act on, the whole trace for what is our own mistake. */
final class Failures {
    private Failures() {}

    /** Wrong options or arguments. */
    static int misused(CommandLine.ParameterException failure, String[] arguments) {
        CommandLine command = failure.getCommandLine();
        command.getErr()
                .println("skep: " + oneLine(String.valueOf(failure.getMessage())) + "; see: "
                        + command.getCommandSpec().qualifiedName() + " --help");
        return CommandLine.ExitCode.USAGE;
    }

    /** A command that could not do its work. */
    static int failed(Exception failure, CommandLine command, CommandLine.ParseResult parsed) {
        switch (failure) {
            case CredentialException e -> command.getErr().println("skep: " + oneLine(String.valueOf(e.getMessage())));
            case ConfigurationException e -> {
                command.getErr().println("skep: " + e.getMessage());
                return e.isUsage() ? CommandLine.ExitCode.USAGE : CommandLine.ExitCode.SOFTWARE;
            }
            case IOException e -> command.getErr().println("skep: " + describe(e));
            case UncheckedIOException e ->
                command.getErr().println("skep: " + describe(Objects.requireNonNull(e.getCause())));
            default -> {
                command.getErr().println("skep: a mistake in skep itself; please report it with these lines:");
                failure.printStackTrace(command.getErr());
            }
        }
        return CommandLine.ExitCode.SOFTWARE;
    }

    private static String describe(IOException failure) {
        return switch (failure) {
            case NoSuchFileException e -> e.getFile() + " does not exist";
            case AccessDeniedException e ->
                e.getFile() + " may not be read or written by this user; run it as the owner, or choose another folder";
            case FileSystemException e when e.getReason() != null -> e.getFile() + ": " + e.getReason();
            default -> oneLine(String.valueOf(failure.getMessage()));
        };
    }

    private static String oneLine(String text) {
        return text.replaceAll("\\s*[\r\n]+\\s*", " ");
    }
}
