package io.skep.agent;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassModel;
import java.lang.classfile.MethodModel;
import java.lang.classfile.instruction.InvokeInstruction;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/**
 * What runs in a simulation gets time, chance, threads and the network from its ports alone, and iterates over nothing
 * whose order differs from run to run.
 */
class DeterminismTest {
    /** The classes at the edge of the house, which a simulation replaces or leaves away. */
    private static final Set<String> EDGE = Set.of(
            "Agent",
            "CertificateCalls",
            "CertificateRenewal",
            "Enrolment",
            "EnrolmentException",
            "FileTaskStore",
            "HostDescription",
            "LiveCredentials",
            "ManagerChannels",
            "Stop");

    private static final Pattern FORBIDDEN = Pattern.compile(String.join(
            "|",
            "java/lang/System\\.(?!arraycopy|lineSeparator).*",
            "java/lang/(Thread|ThreadLocal|Process|ProcessBuilder|Runtime)\\..*",
            "java/lang/Object\\.(hashCode|wait|notify.*)",
            "java/lang/Math\\.random",
            "java/time/Instant\\.now",
            "java/time/(LocalDateTime|ZonedDateTime|LocalDate|LocalTime|OffsetDateTime)\\.now",
            "java/time/Clock\\..*",
            "java/time/InstantSource\\.(system|tick)",
            "java/util/(Random|SplittableRandom|Timer)\\..*",
            "java/util/UUID\\.randomUUID",
            "java/util/concurrent/ThreadLocalRandom\\..*",
            "java/security/SecureRandom\\..*",
            "java/util/(HashMap|HashSet|IdentityHashMap|WeakHashMap|Hashtable)\\.<init>",
            "java/util/concurrent/(ConcurrentHashMap|Executors|ForkJoinPool|CountDownLatch|Semaphore|.*Queue|.*Deque)\\..*",
            "java/util/concurrent/(Scheduled)?Future\\.get",
            "java/util/concurrent/CompletableFuture\\.(get|join|orTimeout|completeOnTimeout|delayedExecutor|.*Async)",
            "java/util/concurrent/locks/.*",
            "java/util/(Map|Set)\\.(of|copyOf|ofEntries)",
            "java/util/stream/Collectors\\.(toSet|toMap|groupingBy.*|partitioningBy|toUnmodifiable(Set|Map))",
            "java/util/.*\\.parallel(Stream)?",
            "io/grpc/Deadline\\.getSystemTicker",
            ".*\\.withDeadlineAfter",
            "java/(net|nio/file|nio/channels|io/File).*"));

    @Test
    void theCoreUsesItsPortsAlone() throws Exception {
        List<String> found = new ArrayList<>();
        for (Path file : classes()) {
            found.addAll(violations(ClassFile.of().parse(file)));
        }
        assertThat(found).isEmpty();
    }

    @Test
    void seesWhatIsForbidden() throws Exception {
        List<String> found = violations(ClassFile.of().parse(folder().resolve("CertificateCalls.class")));
        assertThat(found).anyMatch(each -> each.contains("withDeadlineAfter"));
        assertThat(violations(ClassFile.of().parse(folder().resolve("HostDescription.class"))))
                .anyMatch(each -> each.contains("java/nio/file/Files.readString"));
    }

    @Test
    void everyEdgeClassIsThere() throws Exception {
        assertThat(EDGE)
                .allSatisfy(
                        name -> assertThat(folder().resolve(name + ".class")).exists());
    }

    private static List<Path> classes() throws IOException, URISyntaxException {
        try (var files = Files.list(folder())) {
            List<Path> core = files.filter(file -> file.toString().endsWith(".class"))
                    .filter(file -> !EDGE.contains(outerName(file)))
                    .sorted()
                    .toList();
            assertThat(core).anyMatch(file -> outerName(file).equals("Session"));
            return core;
        }
    }

    private static Path folder() throws URISyntaxException {
        return Path.of(AgentCore.class
                        .getProtectionDomain()
                        .getCodeSource()
                        .getLocation()
                        .toURI())
                .resolve("io/skep/agent");
    }

    private static String outerName(Path file) {
        return file.getFileName().toString().replaceAll("[.$].*", "");
    }

    private static List<String> violations(ClassModel model) {
        List<String> found = new ArrayList<>();
        for (MethodModel method : model.methods()) {
            method.code()
                    .ifPresent(code -> code.forEach(element -> {
                        if (element instanceof InvokeInstruction call) {
                            String target = call.owner().asInternalName() + "."
                                    + call.name().stringValue();
                            if (FORBIDDEN.matcher(target).matches()) {
                                found.add(model.thisClass().asInternalName() + "."
                                        + method.methodName().stringValue() + " calls " + target);
                            }
                        }
                    }));
        }
        return found;
    }
}
