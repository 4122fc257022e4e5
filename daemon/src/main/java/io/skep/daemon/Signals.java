package io.skep.daemon;

import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandleProxies;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.reflect.InvocationTargetException;

/**
 * Handlers for the signals of the operating system. The JDK has them only in {@code sun.misc.Signal}, a supported class
 * (module jdk.unsupported) that the compiler warns about without a way to answer, so it is called by name.
 */
final class Signals {
    private Signals() {}

    /** Lets a signal call the handler, on a thread of its own; does nothing where there is no such signal. */
    static void handle(String name, Runnable handler) {
        try {
            Class<?> signal = Class.forName("sun.misc.Signal");
            Class<?> signalHandler = Class.forName("sun.misc.SignalHandler");
            MethodHandle run = MethodHandles.lookup()
                    .findVirtual(Runnable.class, "run", MethodType.methodType(void.class))
                    .bindTo(handler);
            Object adapter =
                    MethodHandleProxies.asInterfaceInstance(signalHandler, MethodHandles.dropArguments(run, 0, signal));
            signal.getMethod("handle", signal, signalHandler)
                    .invoke(null, signal.getConstructor(String.class).newInstance(name), adapter);
        } catch (InvocationTargetException e) {
            if (!(e.getCause() instanceof IllegalArgumentException)) {
                throw new IllegalStateException("signal " + name + " cannot be handled", e);
            }
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException("signal " + name + " cannot be handled", e);
        }
    }
}
