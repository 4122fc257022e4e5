package io.skep.e2e;

import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.LifecycleMethodExecutionExceptionHandler;
import org.junit.jupiter.api.extension.TestExecutionExceptionHandler;

/** Prints what the hosts of a test that failed know and have logged, while they are still there. */
final class Evidence implements TestExecutionExceptionHandler, LifecycleMethodExecutionExceptionHandler {
    @Override
    public void handleTestExecutionException(ExtensionContext context, Throwable failure) throws Throwable {
        print(context);
        throw failure;
    }

    @Override
    public void handleBeforeAllMethodExecutionException(ExtensionContext context, Throwable failure) throws Throwable {
        print(context);
        throw failure;
    }

    private static void print(ExtensionContext context) {
        for (Lab lab : Lab.open()) {
            for (Host host : lab.hosts()) {
                System.err.println(
                        "--- " + context.getDisplayName() + " failed; " + host.name() + ":\n" + host.evidence());
            }
        }
    }
}
