package io.skep.engine;

import io.avaje.json.JsonException;
import io.avaje.json.JsonReader;
import io.avaje.json.stream.JsonStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Which system calls a container may make, as the runtime is told: the default, or a profile of the user's in Docker's
 * form, whose rules may depend on the architecture and on capabilities.
 */
final class Seccomp {
    private static final JsonStream STREAM = JsonStream.builder().build();
    private static final String DEFAULT = "seccomp.txt";
    private static final int DEPTH_MAX = 32;
    private static final long EPERM = 1;
    private static final long ENOSYS = 38;
    private static final String ALLOW = "SCMP_ACT_ALLOW";
    private static final String ERROR = "SCMP_ACT_ERRNO";

    /** Sockets to the hypervisor: they know no network namespace. */
    private static final long AF_VSOCK = 40;

    /** The flags of clone that make namespaces. */
    private static final long NAMESPACE_FLAGS = 0x7e020000L;

    private static final long[] PERSONALITIES = {0, 8, 0x20000, 0x20008, 0xffffffffL};

    /** The architectures whose calls a kernel takes, by the one it is made for; as Java names it. */
    private static final Map<String, List<String>> ARCHITECTURES = Map.of(
            "amd64", List.of("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
            "aarch64", List.of("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
            "riscv64", List.of("SCMP_ARCH_RISCV64"),
            "ppc64le", List.of("SCMP_ARCH_PPC64LE"),
            "s390x", List.of("SCMP_ARCH_S390X", "SCMP_ARCH_S390"));

    /** The same architectures as profiles name them. */
    private static final Map<String, Set<String>> PROFILE_NAMES = Map.of(
            "amd64", Set.of("amd64", "x32", "x86"),
            "aarch64", Set.of("arm64", "arm"),
            "riscv64", Set.of("riscv64"),
            "ppc64le", Set.of("ppc64le"),
            "s390x", Set.of("s390x", "s390"));

    private final String architecture;

    /**
     * Makes profiles for an architecture.
     *
     * @param architecture as Java names it
     */
    Seccomp(String architecture) {
        this.architecture = architecture;
    }

    /** Returns the profile of a container with these capabilities whose user asked for none. */
    Map<String, Object> normal(Collection<String> capabilities) {
        List<Object> rules = new ArrayList<>();
        List<String> allowed = new ArrayList<>();
        for (String line : lines()) {
            int colon = line.indexOf(':');
            String who = colon < 0 ? "" : line.substring(0, colon);
            if (who.equals("any") || who.equals(architecture) || capabilities.contains(who)) {
                allowed.addAll(List.of(line.substring(colon + 1).strip().split(" ", -1)));
            }
        }
        rules.add(rule(allowed, ALLOW));
        rules.add(rule(List.of("socket"), ALLOW, argument(0, AF_VSOCK, 0, "SCMP_CMP_NE")));
        for (long personality : PERSONALITIES) {
            rules.add(rule(List.of("personality"), ALLOW, argument(0, personality, 0, "SCMP_CMP_EQ")));
        }
        if (!capabilities.contains("CAP_SYS_ADMIN")) {
            int flags = architecture.equals("s390x") ? 1 : 0;
            rules.add(rule(List.of("clone"), ALLOW, argument(flags, NAMESPACE_FLAGS, 0, "SCMP_CMP_MASKED_EQ")));
            // Its flags are in memory, where no filter sees them: libraries take clone when they are told it is
            // missing.
            Map<String, Object> missing = rule(List.of("clone3"), ERROR);
            missing.put("errnoRet", ENOSYS);
            rules.add(missing);
        }
        Map<String, Object> profile = new LinkedHashMap<>();
        profile.put("defaultAction", ERROR);
        profile.put("defaultErrnoRet", EPERM);
        profile.put("architectures", ARCHITECTURES.getOrDefault(architecture, List.of()));
        profile.put("syscalls", rules);
        return profile;
    }

    private static List<String> lines() {
        try (InputStream in = Seccomp.class.getResourceAsStream(DEFAULT)) {
            if (in == null) {
                throw new IllegalStateException(DEFAULT + " is missing in this build");
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8)
                    .lines()
                    .filter(line -> !line.startsWith("#") && !line.isBlank())
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Map<String, Object> rule(List<String> names, String action) {
        return rule(names, action, List.of());
    }

    private static Map<String, Object> rule(List<String> names, String action, List<Map<String, Object>> arguments) {
        Map<String, Object> rule = new LinkedHashMap<>();
        rule.put("names", names);
        rule.put("action", action);
        if (!arguments.isEmpty()) {
            rule.put("args", arguments);
        }
        return rule;
    }

    private static List<Map<String, Object>> argument(long index, long value, long second, String comparison) {
        Map<String, Object> argument = new LinkedHashMap<>();
        argument.put("index", index);
        argument.put("value", value);
        argument.put("valueTwo", second);
        argument.put("op", comparison);
        return List.of(argument);
    }

    // ---- a profile of the user's

    /**
     * Returns what the runtime is told for a profile in Docker's form.
     *
     * @throws EngineException INVALID when it is none
     */
    Map<String, Object> of(String json, Collection<String> capabilities) {
        Map<String, Object> asked = parse(json);
        Map<String, Object> profile = new LinkedHashMap<>();
        profile.put("defaultAction", text(asked, "defaultAction", ""));
        if (text(asked, "defaultAction", "").isEmpty()) {
            throw EngineException.invalid("invalid seccomp profile: defaultAction is missing");
        }
        copy(asked, profile, "defaultErrnoRet", "flags", "listenerPath", "listenerMetadata");
        if (asked.containsKey("architectures") && asked.containsKey("archMap")) {
            throw EngineException.invalid(
                    "invalid seccomp profile: both 'architectures' and 'archMap' are specified, use either of them");
        }
        copy(asked, profile, "architectures");
        List<String> kernels = ARCHITECTURES.getOrDefault(architecture, List.of());
        for (Object each : list(asked, "archMap")) {
            if (each instanceof Map<?, ?> map && kernels.contains(String.valueOf(map.get("architecture")))) {
                List<Object> all = new ArrayList<>();
                all.add(String.valueOf(map.get("architecture")));
                if (map.get("subArchitectures") instanceof List<?> more) {
                    all.addAll(more);
                }
                profile.putIfAbsent("architectures", all);
            }
        }
        List<Object> rules = new ArrayList<>();
        for (Object each : list(asked, "syscalls")) {
            if (!(each instanceof Map<?, ?> rule)) {
                throw EngineException.invalid("invalid seccomp profile: a rule of syscalls is no object");
            }
            if (applies(rule, capabilities)) {
                Map<String, Object> told = new LinkedHashMap<>();
                Object names = rule.get("names");
                Object name = rule.get("name");
                told.put("names", names instanceof List<?> ? names : List.of(String.valueOf(name)));
                for (String field : List.of("action", "errnoRet", "args")) {
                    Object value = rule.get(field);
                    if (value != null) {
                        told.put(field, value);
                    }
                }
                rules.add(told);
            }
        }
        profile.put("syscalls", rules);
        return profile;
    }

    private boolean applies(Map<?, ?> rule, Collection<String> capabilities) {
        Set<String> names = PROFILE_NAMES.getOrDefault(architecture, Set.of());
        List<?> includedArchitectures = strings(rule.get("includes"), "arches");
        List<?> includedCapabilities = strings(rule.get("includes"), "caps");
        return (includedArchitectures.isEmpty()
                        || includedArchitectures.stream().anyMatch(names::contains))
                && capabilities.containsAll(includedCapabilities)
                && strings(rule.get("excludes"), "arches").stream().noneMatch(names::contains)
                && strings(rule.get("excludes"), "caps").stream().noneMatch(capabilities::contains);
    }

    private static List<?> strings(@Nullable Object filter, String name) {
        return filter instanceof Map<?, ?> map && map.get(name) instanceof List<?> list ? list : List.of();
    }

    private static void copy(Map<String, Object> from, Map<String, Object> to, String... names) {
        for (String name : names) {
            Object value = from.get(name);
            if (value != null) {
                to.put(name, value);
            }
        }
    }

    private static String text(Map<String, Object> object, String name, String normal) {
        return object.get(name) instanceof String text ? text : normal;
    }

    private static List<?> list(Map<String, Object> object, String name) {
        return object.get(name) instanceof List<?> list ? list : List.of();
    }

    private static Map<String, Object> parse(String json) {
        try (JsonReader reader = STREAM.reader(json)) {
            Map<String, Object> profile = new LinkedHashMap<>();
            if (read(reader, 0) instanceof Map<?, ?> map) {
                map.forEach((name, value) -> {
                    if (value != null) {
                        profile.put(String.valueOf(name), value);
                    }
                });
                return profile;
            }
            throw EngineException.invalid("Decoding seccomp profile failed: it is no JSON object");
        } catch (JsonException | IllegalStateException | NumberFormatException | IndexOutOfBoundsException e) {
            throw EngineException.invalid("Decoding seccomp profile failed: " + e.getMessage());
        }
    }

    /** Reads a value; nulls are left out, as profiles mean nothing by them. */
    private static @Nullable Object read(JsonReader reader, int depth) {
        if (depth > DEPTH_MAX) {
            throw EngineException.invalid("Decoding seccomp profile failed: it is nested too deep");
        }
        return switch (reader.currentToken()) {
            case BEGIN_OBJECT -> {
                Map<String, Object> object = new LinkedHashMap<>();
                reader.beginObject();
                while (reader.hasNextField()) {
                    String name = reader.nextField();
                    Object value = read(reader, depth + 1);
                    if (value != null) {
                        object.put(name, value);
                    }
                }
                reader.endObject();
                yield object;
            }
            case BEGIN_ARRAY -> {
                List<Object> array = new ArrayList<>();
                reader.beginArray();
                while (reader.hasNextElement()) {
                    Object value = read(reader, depth + 1);
                    if (value != null) {
                        array.add(value);
                    }
                }
                reader.endArray();
                yield array;
            }
            case STRING -> reader.readString();
            case BOOLEAN -> reader.readBoolean();
            case NUMBER -> new BigDecimal(reader.readDecimal().toString()).toBigInteger();
            case NULL -> {
                reader.skipValue();
                yield null;
            }
            default -> throw EngineException.invalid("Decoding seccomp profile failed");
        };
    }
}
