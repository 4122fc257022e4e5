package io.skep.manager;

import static org.assertj.core.api.Assertions.assertThat;

import io.skep.control.ControlLoop;
import io.skep.store.Store;
import java.io.IOException;
import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassModel;
import java.lang.classfile.constantpool.MemberRefEntry;
import java.lang.classfile.constantpool.PoolEntry;
import java.net.URI;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/**
 * The classes that the simulation runs neither wait nor make threads, and take time, chance and order only from their
 * ports. Read from their compiled form, so that nothing is overlooked.
 */
class DeterminismTest {
    /** What belongs to the ports as they are in production, and may do all of it. */
    private static final Pattern SHELL =
            Pattern.compile("(Manager|NettyPeers|GrpcRaftTransport|VirtualThreads|RandomIds"
                    + "|CertificateSigner|CallerFilter|ManagerTls|RaftConsensus)(\\$.*)?\\.class");

    /** Class and method, as in {@code java/lang/System.nanoTime(…)}; what follows the bracket is the descriptor. */
    private static final List<Pattern> FORBIDDEN = Stream.of(
                    "java/lang/System\\.(nanoTime|currentTimeMillis|identityHashCode)\\(.*",
                    "java/time/(Instant|Local\\w+|ZonedDateTime|OffsetDateTime)\\.now\\(.*",
                    "java/time/(InstantSource|Clock)\\.(system\\w*|tick\\w*)\\(.*",
                    "java/lang/Thread(\\$\\w+)?\\..*",
                    "java/lang/Object\\.(wait|notify|notifyAll)\\(.*",
                    ".*\\.(wait|notifyAll)\\(J?\\)V",
                    "java/util/concurrent/(Semaphore|CountDownLatch|CyclicBarrier|Phaser|Exchanger)\\..*",
                    "java/util/concurrent/locks/.*\\.(await\\w*|tryLock|lockInterruptibly|park\\w*)\\(.*",
                    "java/util/concurrent/\\w*(Future|CompletionService)\\.(get|join)\\(.*",
                    "java/util/concurrent/\\w*Queue\\.(put|take|poll)\\(.+\\).*",
                    "java/util/concurrent/(Executors|ForkJoinPool|Thread\\w*|Timer)\\..*",
                    "java/util/concurrent/\\w+\\.(awaitTermination|invokeAll|invokeAny)\\(.*",
                    // Without an executor of its own, these run on threads that belong to nobody.
                    "java/util/concurrent/CompletableFuture\\.(orTimeout|completeOnTimeout|delayedExecutor)\\(.*",
                    "java/util/concurrent/CompletableFuture\\.\\w+Async\\((?!.*Ljava/util/concurrent/Executor;\\)).*",
                    "java/util/\\w+\\.parallelStream\\(.*",
                    "java/util/(Timer|Random|SplittableRandom|IdentityHashMap|WeakHashMap)\\..*",
                    "java/util/random/.*",
                    "java/util/UUID\\.randomUUID\\(.*",
                    "java/security/SecureRandom\\..*",
                    "java/lang/Math\\.random\\(.*",
                    "io/grpc/Deadline\\.(getSystemTicker\\(.*|after\\((?!.*Ticker;\\)).*)",
                    ".*\\.withDeadlineAfter\\(.*",
                    "io/grpc/stub/ClientCalls\\.blocking\\w+\\(.*")
            .map(Pattern::compile)
            .toList();

    /** What would break the rule if it were used in another way. */
    private static final Set<String> HARMLESS = Set.of(
            // It is asked whether it holds a task, and never gone through.
            "io/skep/control/Scheduler uses java/util/IdentityHashMap.<init>()V");

    @Test
    void whatIsSimulatedWaitsForNothing() throws Exception {
        List<String> found = new ArrayList<>();
        int classes = 0;
        for (Class<?> room : List.of(ControlPlane.class, ControlLoop.class, Store.class)) {
            for (ClassModel model : classesBeside(room)) {
                classes++;
                inspect(model, found);
            }
        }
        assertThat(found).isEmpty();
        assertThat(classes).isGreaterThan(100);
    }

    private static void inspect(ClassModel model, List<String> found) {
        for (PoolEntry entry : model.constantPool()) {
            if (entry instanceof MemberRefEntry member) {
                String used = member.owner().asInternalName() + "."
                        + member.name().stringValue() + member.type().stringValue();
                String sentence = model.thisClass().asInternalName() + " uses " + used;
                if (!HARMLESS.contains(sentence)
                        && FORBIDDEN.stream()
                                .anyMatch(each -> each.matcher(used).matches())) {
                    found.add(sentence);
                }
            }
        }
    }

    private static List<ClassModel> classesBeside(Class<?> one) throws Exception {
        URI place = one.getProtectionDomain().getCodeSource().getLocation().toURI();
        Path path = Path.of(place);
        if (Files.isDirectory(path)) {
            return parse(path, one);
        }
        try (FileSystem jar = FileSystems.newFileSystem(path, Map.of())) {
            return parse(jar.getPath("/"), one);
        }
    }

    private static List<ClassModel> parse(Path root, Class<?> one) throws IOException {
        List<ClassModel> models = new ArrayList<>();
        Path room = root.resolve(one.getPackageName().replace('.', '/'));
        try (Stream<Path> files = Files.list(room)) {
            for (Path file : files.sorted().toList()) {
                String name = file.getFileName().toString();
                if (name.endsWith(".class") && !SHELL.matcher(name).matches()) {
                    models.add(ClassFile.of().parse(Files.readAllBytes(file)));
                }
            }
        }
        return models;
    }
}
