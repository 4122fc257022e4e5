package io.skep.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.ByteString;
import com.google.protobuf.Descriptors.EnumDescriptor;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import io.skep.wire.Cluster;
import io.skep.wire.ClusterSpec;
import io.skep.wire.ContainerSpec;
import io.skep.wire.Node;
import io.skep.wire.NodeSpec;
import io.skep.wire.Privileges;
import io.skep.wire.Service;
import io.skep.wire.ServiceSpec;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.Size;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Objects of the cluster to JSON and back. */
class JsonRoundTripTest {
    private static final String SERVICE = """
            {"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"a"%s}%s}%s}""";

    @Property(tries = 300)
    void serviceSpecComesBack(@ForAll long seed) {
        ServiceSpec made = random(ServiceSpec.newBuilder(), new Random(seed), 0);

        String first = text(made);
        ServiceSpec read = read(first, ApiVersion.NEWEST);
        String second = text(read);

        assertThat(second).isEqualTo(first);
        assertThat(read(second, ApiVersion.NEWEST)).isEqualTo(read);
        // What the API can express is not lost: the container and the placement are the parts with most fields.
        assertThat(read.getTask().getContainer().getMountsCount())
                .isEqualTo(made.getTask().getContainer().getMountsCount());
        assertThat(read.getTask().getPlacement().getConstraintsList())
                .isEqualTo(made.getTask().getPlacement().getConstraintsList());
        assertThat(read.getAnnotations().getLabelsMap())
                .isEqualTo(made.getAnnotations().getLabelsMap());
    }

    @Property(tries = 100)
    void clusterAndNodeSpecComeBack(@ForAll long seed) {
        NodeSpec node = random(NodeSpec.newBuilder(), new Random(seed), 0);
        String nodeText = object(
                out -> NodeJson.write(out, Node.newBuilder().setSpec(node).build(), null));
        NodeSpec nodeRead = NodeJson.readSpec(JsonIn.parse(bytes(nodeText)).object("Spec"));
        assertThat(nodeRead.getAvailability()).isEqualTo(node.getAvailability());
        assertThat(nodeRead.getDesiredRole()).isEqualTo(node.getDesiredRole());

        ClusterSpec first = ClusterJson.readSpec(JsonIn.parse(bytes("{}")));
        String text = object(out ->
                ClusterJson.writeInfo(out, Cluster.newBuilder().setSpec(first).build()));
        assertThat(ClusterJson.readSpec(JsonIn.parse(bytes(text)).object("Spec")))
                .isEqualTo(first);
    }

    @Property(tries = 500)
    void anyBytesAreReadOrRefused(@ForAll @Size(max = 60) byte[] garbage) {
        try {
            JsonIn.parse(garbage).text("Name");
        } catch (ApiException e) {
            assertThat(e.status()).isEqualTo(400);
        }
    }

    @Property(tries = 500)
    void brokenServicesAreReadOrRefused(@ForAll long seed) {
        Random random = new Random(seed);
        byte[] json = bytes(text(random(ServiceSpec.newBuilder(), random, 0)));
        for (int i = 0; i < 3; i++) {
            json[random.nextInt(json.length)] = (byte) "{}[]\",:0-eantx\\".charAt(random.nextInt(15));
        }
        try {
            ServiceJson.readSpec(JsonIn.parse(json), ApiVersion.NEWEST);
        } catch (ApiException e) {
            assertThat(e.status()).isBetween(400, 501);
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "{",
                "{\"a\":1",
                "nul",
                "{\"a\" 1}",
                "{a:1}",
                "[",
                "{\"a\":01}",
                "\"x",
                "{\"a\":-}",
                "[1]",
                "3"
            })
    void malformedJsonIsRefused(String text) {
        assertThatThrownBy(() -> JsonIn.parse(bytes(text)))
                .isInstanceOfSatisfying(
                        ApiException.class, e -> assertThat(e.status()).isEqualTo(400));
    }

    @ParameterizedTest
    @ValueSource(strings = {"{\"a\":1} x", "{\"a\":1}{}", "{\"a\":1}]", "{} {}"})
    void trailingContentIsRefused(String text) {
        assertThatThrownBy(() -> JsonIn.parse(bytes(text))).hasMessage("unexpected content after JSON");
    }

    @Test
    void deepNestingIsRefused() {
        assertThatThrownBy(() -> JsonIn.parse(bytes("[".repeat(100_000)))).hasMessageContaining("nested more than");
    }

    @Test
    void keysMatchInAnyCaseAndNumbersKeepAllBits() {
        JsonIn in = JsonIn.parse(bytes("{\"nAmE\":\"x\",\"BIG\":18446744073709551615,\"Small\":-9223372036854775808}"));

        assertThat(in.text("Name")).isEqualTo("x");
        assertThat(in.unsigned("Big")).isEqualTo(-1);
        assertThat(in.number("Small")).isEqualTo(Long.MIN_VALUE);
        assertThat(object(out -> out.unsigned("N", -1))).isEqualTo("{\"N\":18446744073709551615}");
        assertThatThrownBy(() -> in.number("Big")).hasMessageContaining("out of range");
        assertThatThrownBy(() -> in.flag("Name")).hasMessage("invalid JSON: field Name is of type string, not bool");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                ",\"Mounts\":[{\"Type\":\"x\"}]| | |invalid MountType: \"x\"",
                ",\"Mounts\":[{\"BindOptions\":{\"Propagation\":\"x\"}}]| | |invalid MountPropagation: \"x\"",
                "|,\"RestartPolicy\":{\"Condition\":\"x\"}| |invalid RestartCondition: \"x\"",
                "|,\"Runtime\":\"plugin\"| |plugin services are not supported: Skep runs containers only",
                "| |,\"UpdateConfig\":{\"Order\":\"x\"}|unrecognized update order x",
                "| |,\"EndpointSpec\":{\"Mode\":\"x\"}|invalid resolution mode: \"x\"",
                "| |,\"Mode\":{\"Global\":{},\"Replicated\":{}}|must specify only one service mode",
            })
    void unknownValuesAreNamed(String container, String template, String spec, String message) {
        String json = SERVICE.formatted(orEmpty(container), orEmpty(template), orEmpty(spec));

        assertThatThrownBy(() -> read(json, ApiVersion.NEWEST)).hasMessage(message);
    }

    private static String orEmpty(@Nullable String text) {
        return text == null ? "" : text;
    }

    @Test
    void whatAnOldVersionDidNotKnowIsDropped() {
        String json = SERVICE.formatted(
                ",\"Sysctls\":{\"a\":\"b\"},\"CapabilityAdd\":[\"X\"],\"OomScoreAdj\":5",
                ",\"Placement\":{\"MaxReplicas\":3},\"Resources\":{\"Limits\":{\"Pids\":9}}",
                ",\"Mode\":{\"ReplicatedJob\":{}}");

        ServiceSpec old = read(json, new ApiVersion(1, 39));
        ContainerSpec container = old.getTask().getContainer();
        assertThat(container.getSysctlsMap()).isEmpty();
        assertThat(container.getCapabilityAddList()).isEmpty();
        assertThat(container.getOomScoreAdj()).isZero();
        assertThat(container.getPidsLimit()).isZero();
        assertThat(old.getTask().getPlacement().getMaxReplicas()).isZero();
        assertThat(old.getReplicated().getReplicas()).isEqualTo(1);

        ServiceSpec fresh = read(json, ApiVersion.NEWEST);
        assertThat(fresh.getTask().getContainer().getPidsLimit()).isEqualTo(9);
        assertThat(fresh.getTask().getContainer().getOomScoreAdj()).isEqualTo(5);
        assertThat(fresh.getTask().getPlacement().getMaxReplicas()).isEqualTo(3);
        assertThat(fresh.getReplicatedJob().getMaxConcurrent()).isEqualTo(1);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String object(Consumer<JsonOut> fields) {
        return new String(JsonOut.object(fields), StandardCharsets.UTF_8);
    }

    /** Returns the JSON of a spec, which stands within that of a service. */
    private static String text(ServiceSpec spec) {
        String whole = object(
                out -> ServiceJson.write(out, Service.newBuilder().setSpec(spec).build(), null));
        int from = whole.indexOf("\"Spec\":") + "\"Spec\":".length();
        return whole.substring(from, whole.lastIndexOf(",\"Endpoint\":"));
    }

    private static ServiceSpec read(String json, ApiVersion version) {
        return ServiceJson.readSpec(JsonIn.parse(bytes(json)), version);
    }

    /** Fills a message with values that the API can express. */
    @SuppressWarnings({"unchecked", "TypeParameterUnusedInFormals"})
    private static <M extends Message> M random(Message.Builder builder, Random random, int depth) {
        List<String> notInApi = List.of(
                "indices",
                "pull_options",
                "attachment",
                "generic",
                "swap_bytes",
                "memory_swappiness",
                "resource_references",
                "addresses");
        for (FieldDescriptor field : builder.getDescriptorForType().getFields()) {
            boolean needed = List.of("replicated", "container", "task", "annotations", "config")
                            .contains(field.getName())
                    || (field.getName().equals("name") && depth == 1);
            if (notInApi.contains(field.getName())
                    || (field.getContainingOneof() != null && !needed && builder.hasOneof(field.getContainingOneof()))
                    || (!needed && random.nextInt(3) == 0)) {
                continue;
            }
            if (field.isMapField()) {
                putLabel(builder, field, random);
            } else if (field.isRepeated()) {
                for (int i = random.nextInt(3); i > 0; i--) {
                    builder.addRepeatedField(field, value(builder, field, random, depth));
                }
            } else {
                builder.setField(field, value(builder, field, random, depth));
            }
        }
        return (M) builder.build();
    }

    private static void putLabel(Message.Builder builder, FieldDescriptor field, Random random) {
        Message.Builder entry = builder.newBuilderForField(field);
        entry.setField(entry.getDescriptorForType().findFieldByNumber(1), "k" + random.nextInt(100));
        entry.setField(entry.getDescriptorForType().findFieldByNumber(2), "v\"ü😀" + random.nextInt(100));
        builder.addRepeatedField(field, entry.build());
    }

    private static Object value(Message.Builder builder, FieldDescriptor field, Random random, int depth) {
        return switch (field.getJavaType()) {
            case INT -> field.getName().equals("nanos") ? random.nextInt(1000) : random.nextInt(70_000);
            case LONG -> (long) random.nextInt(100_000);
            case FLOAT -> random.nextInt(100) / 100f;
            case DOUBLE -> random.nextDouble();
            case BOOLEAN -> random.nextBoolean();
            case STRING ->
                field.getName().equals("options") ? "[[\"noexec\"],[\"uid\",\"1\"]]" : "t" + random.nextInt(1000);
            case BYTE_STRING -> ByteString.copyFromUtf8("b" + random.nextInt(1000));
            case ENUM -> {
                EnumDescriptor type = field.getEnumType();
                yield type.getValues().get(random.nextInt(type.getValues().size()));
            }
            case MESSAGE -> {
                Message made = JsonRoundTripTest.<Message>random(builder.newBuilderForField(field), random, depth + 1);
                yield made instanceof Privileges.CredentialSpec
                        ? Privileges.CredentialSpec.newBuilder().setFile("f").build()
                        : made;
            }
        };
    }
}
