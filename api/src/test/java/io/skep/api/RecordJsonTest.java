package io.skep.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import io.skep.engine.record.Config;
import io.skep.engine.record.CreateContainer;
import io.skep.engine.record.EndpointSettings;
import io.skep.engine.record.HostConfig;
import io.skep.engine.record.MountPoint;
import java.nio.charset.StandardCharsets;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

/** Records of the engine to the JSON of the API and back. */
class RecordJsonTest {
    private static <T extends Message> T read(String json, T empty, ApiVersion version) {
        return RecordJson.read(
                JsonIn.parse(json.getBytes(StandardCharsets.UTF_8)).fields(), empty, version);
    }

    private static CreateContainer create(String json) {
        return read(json, CreateContainer.getDefaultInstance(), ApiVersion.NEWEST);
    }

    private static String text(Message message) {
        return new String(RecordJson.object(message), StandardCharsets.UTF_8);
    }

    @Property(tries = 300)
    void whatIsWrittenComesBack(@ForAll long seed) {
        CreateContainer made = (CreateContainer) random(CreateContainer.newBuilder(), new Random(seed), 0);
        String first = text(made);
        CreateContainer read = create(first);
        assertThat(text(read)).isEqualTo(first);
        assertThat(create(text(read))).isEqualTo(read);
        assertThat(read.getConfig().getEnvList()).isEqualTo(made.getConfig().getEnvList());
        assertThat(read.getHostConfig().getResources())
                .isEqualTo(made.getHostConfig().getResources());
    }

    private static Message random(Message.Builder builder, Random random, int depth) {
        for (FieldDescriptor field : builder.getDescriptorForType().getFields()) {
            if (field.isMapField() || random.nextInt(3) == 0 || depth > 5) {
                continue;
            }
            if (field.isRepeated()) {
                for (int i = random.nextInt(3); i > 0; i--) {
                    builder.addRepeatedField(field, element(builder, field, random, depth, "e" + i));
                }
            } else {
                builder.setField(field, element(builder, field, random, depth, "t" + random.nextInt(3)));
            }
        }
        return builder.build();
    }

    private static Object element(
            Message.Builder builder, FieldDescriptor field, Random random, int depth, String text) {
        return switch (field.getJavaType()) {
            case STRING -> text;
            case BOOLEAN -> random.nextBoolean();
            case INT -> random.nextInt(1000);
            case LONG -> random.nextLong() >>> 1;
            case MESSAGE -> random(builder.newBuilderForField(field), random, depth + 1);
            default -> throw new IllegalStateException(field.getFullName());
        };
    }

    @Test
    void emptyValuesAreThoseOfDocker() {
        assertThat(text(Config.newBuilder().setImage("a").build()))
                .isEqualTo("{\"Hostname\":\"\",\"Domainname\":\"\",\"User\":\"\",\"AttachStdin\":false,"
                        + "\"AttachStdout\":false,\"AttachStderr\":false,\"Tty\":false,\"OpenStdin\":false,"
                        + "\"StdinOnce\":false,\"Env\":[],\"Cmd\":null,\"Image\":\"a\",\"Volumes\":null,"
                        + "\"WorkingDir\":\"\",\"Entrypoint\":null,\"OnBuild\":null,\"Labels\":{}}");
        assertThat(text(HostConfig.getDefaultInstance()))
                .contains("\"Binds\":null", "\"LogConfig\":{\"Type\":\"\",\"Config\":{}}", "\"MaskedPaths\":null")
                .contains("\"PidsLimit\":null", "\"CpuShares\":0")
                .doesNotContain("\"Runtime\":", "resources");
        assertThat(text(MountPoint.newBuilder().addOptions("ro").build()))
                .isEqualTo("{\"Source\":\"\",\"Destination\":\"\",\"Mode\":\"\",\"RW\":false,\"Propagation\":\"\"}");
        assertThat(text(EndpointSettings.getDefaultInstance())).startsWith("{\"IPAMConfig\":null,\"Links\":null");
    }

    @Test
    void requestsAreReadAsGoReadsThem() {
        CreateContainer asked = create("""
                {"image":"bb","CMD":"date","Entrypoint":null,"ExposedPorts":{"80/tcp":{}},"Labels":{"Case":"Kept"},
                 "HostConfig":{"Memory":1048576,"PidsLimit":0,"PortBindings":{"80/tcp":[{"HostPort":"8080"}],"81/tcp":null},
                   "MaskedPaths":[]},
                 "NetworkingConfig":{"EndpointsConfig":{"web":null}}}""");
        assertThat(asked.getConfig().getImage()).isEqualTo("bb");
        assertThat(asked.getConfig().getCmdList()).containsExactly("date");
        assertThat(asked.getConfig().getExposedPortsList()).containsExactly("80/tcp");
        assertThat(asked.getConfig().getLabelsMap()).containsEntry("Case", "Kept");
        HostConfig host = asked.getHostConfig();
        assertThat(host.getResources().getMemory()).isEqualTo(1 << 20);
        assertThat(host.getResources().hasPidsLimit()).isTrue();
        assertThat(host.getPortBindingsOrThrow("80/tcp").getBindings(0).getHostPort())
                .isEqualTo("8080");
        assertThat(host.getPortBindingsOrThrow("81/tcp").getBindingsList()).isEmpty();
        assertThat(host.hasMaskedPaths()).isTrue();
        assertThat(host.hasReadonlyPaths()).isFalse();
        assertThat(asked.getNetworkingConfig().getEndpointsConfigMap()).containsKey("web");
    }

    @Test
    void whatIsNotSupportedIsRefusedByName() {
        assertThat(create("{\"Image\":\"a\",\"HostConfig\":{\"New\":{\"A\":[0,\"\",null,false]}}}")
                        .getConfig()
                        .getImage())
                .isEqualTo("a");
        assertThatThrownBy(() -> create("{\"HostConfig\":{\"New\":{\"A\":[1]}}}"))
                .hasMessage("field HostConfig.New is not supported by this engine");
        assertThatThrownBy(() -> create("{\"HostConfig\":{\"Mounts\":[{\"ImageOptions\":{\"Subpath\":\"a\"}}]}}"))
                .hasMessage("field HostConfig.Mounts[0].ImageOptions is not supported by this engine");
        assertThatThrownBy(() -> create("{\"HostConfig\":{\"Memory\":\"1m\"}}"))
                .hasMessage("invalid JSON: field HostConfig.Memory is of type string, not number");
        assertThatThrownBy(() -> create("{\"HostConfig\":{\"BlkioWeight\":-1}}"))
                .hasMessageContaining("out of range");
    }

    @Test
    void fieldsThatAClientIsTooOldForArePassedOver() {
        String json = "{\"HostConfig\":{\"Annotations\":{\"a\":\"b\"}}}";
        assertThat(create(json).getHostConfig().getAnnotationsMap()).isNotEmpty();
        assertThat(read(json, CreateContainer.getDefaultInstance(), new ApiVersion(1, 42))
                        .getHostConfig()
                        .getAnnotationsMap())
                .isEmpty();
    }
}
