package io.skep.control;

import static io.skep.control.TestKit.ids;
import static io.skep.control.TestKit.name;
import static io.skep.control.TestKit.service;
import static io.skep.control.TestKit.world;
import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.ByteString;
import io.skep.control.CommandException.Code;
import io.skep.store.Kind;
import io.skep.wire.Command;
import io.skep.wire.Config;
import io.skep.wire.ConfigReference;
import io.skep.wire.ConfigSpec;
import io.skep.wire.CreateConfigRequest;
import io.skep.wire.CreateSecretRequest;
import io.skep.wire.RemoveConfigRequest;
import io.skep.wire.RemoveSecretRequest;
import io.skep.wire.Secret;
import io.skep.wire.SecretReference;
import io.skep.wire.SecretSpec;
import io.skep.wire.UpdateConfigRequest;
import io.skep.wire.UpdateSecretRequest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DataCommandsTest {
    private static final ByteString DATA = ByteString.copyFromUtf8("data");

    private final TestWorld world = world();
    private final TestLeader leader = new TestLeader(world, ids(1));

    private static Command.Builder createSecret(String name, ByteString data) {
        return Command.newBuilder()
                .setCreateSecret(CreateSecretRequest.newBuilder()
                        .setSpec(SecretSpec.newBuilder()
                                .setAnnotations(name(name).putLabels("a", "1"))
                                .setData(data)));
    }

    private static Command.Builder createConfig(String name, ByteString data) {
        return Command.newBuilder()
                .setCreateConfig(CreateConfigRequest.newBuilder()
                        .setSpec(ConfigSpec.newBuilder()
                                .setAnnotations(name(name))
                                .setData(data)));
    }

    private Secret secret() {
        return world.state().secrets().values().iterator().next();
    }

    private Config config() {
        return world.state().configs().values().iterator().next();
    }

    private void assertRefused(Command.Builder command, Code code, String text) {
        CommandException refusal = requireNonNull(leader.attempt(command).refusal(), "refusal");
        assertThat(refusal.text()).isEqualTo(text);
        assertThat(refusal.code()).isEqualTo(code);
    }

    @Test
    void theAnswerToASecretDoesNotHoldIt() {
        Secret answered = leader.run(createSecret("s", DATA)).getSecret();
        assertThat(answered.getId()).isEqualTo(secret().getId());
        assertThat(answered.getSpec().getData().isEmpty()).isTrue();
        assertThat(secret().getSpec().getData()).isEqualTo(DATA);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"-a", "a.", "a b", "ä", "0123456789012345678901234567890123456789012345678901234567890123x"})
    void namesAreChecked(String name) {
        String text = "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed,"
                + " and the start and end character must be [a-zA-Z0-9]";
        assertRefused(createSecret(name, DATA), Code.INVALID_ARGUMENT, text);
        assertRefused(createConfig(name, DATA), Code.INVALID_ARGUMENT, text);
    }

    @Test
    void sizesAreChecked() {
        String secretText = "secret data must be larger than 0 and less than 512000 bytes";
        assertRefused(createSecret("s", ByteString.EMPTY), Code.INVALID_ARGUMENT, secretText);
        assertRefused(createSecret("s", ByteString.copyFrom(new byte[512_000])), Code.INVALID_ARGUMENT, secretText);
        leader.run(createSecret("s", ByteString.copyFrom(new byte[511_999])));
        String configText = "config data must be larger than 0 and less than 1024000 bytes";
        assertRefused(createConfig("c", ByteString.copyFrom(new byte[1_024_000])), Code.INVALID_ARGUMENT, configText);
        leader.run(createConfig("c", ByteString.copyFrom(new byte[1_023_999])));
    }

    @Test
    void namesAreUnique() {
        leader.run(createSecret("s.1", DATA));
        leader.run(createConfig("s.1", DATA));
        assertRefused(createSecret("S.1", DATA), Code.ALREADY_EXISTS, "secret S.1 already exists");
        assertRefused(createConfig("S.1", DATA), Code.ALREADY_EXISTS, "config S.1 already exists");
    }

    @Test
    void onlyLabelsChange() {
        leader.run(createSecret("s", DATA));
        leader.run(createConfig("c", DATA));
        UpdateSecretRequest.Builder secretUpdate = UpdateSecretRequest.newBuilder()
                .setSecretId(secret().getId())
                .setSecretVersion(secret().getMeta().getVersion())
                .setSpec(SecretSpec.newBuilder().setAnnotations(name("s").putLabels("b", "2")));
        leader.run(Command.newBuilder().setUpdateSecret(secretUpdate));
        assertThat(secret().getSpec().getAnnotations().getLabelsMap()).containsOnlyKeys("b");
        assertThat(secret().getSpec().getData()).isEqualTo(DATA);
        assertRefused(Command.newBuilder().setUpdateSecret(secretUpdate), Code.UNKNOWN, "update out of sequence");
        secretUpdate.getSpecBuilder().getAnnotationsBuilder().setName("t");
        assertRefused(
                Command.newBuilder().setUpdateSecret(secretUpdate),
                Code.INVALID_ARGUMENT,
                "only updates to Labels are allowed");
        UpdateConfigRequest.Builder configUpdate = UpdateConfigRequest.newBuilder()
                .setConfigId(config().getId())
                .setConfigVersion(config().getMeta().getVersion())
                .setSpec(config().getSpec().toBuilder().setData(ByteString.copyFromUtf8("new")));
        assertRefused(
                Command.newBuilder().setUpdateConfig(configUpdate),
                Code.INVALID_ARGUMENT,
                "only updates to Labels are allowed");
        configUpdate.getSpecBuilder().setData(DATA).getAnnotationsBuilder().putLabels("c", "3");
        leader.run(Command.newBuilder().setUpdateConfig(configUpdate));
        assertThat(config().getSpec().getAnnotations().getLabelsMap()).containsEntry("c", "3");
    }

    @Test
    void whatIsInUseStays() {
        leader.run(createSecret("s", DATA));
        leader.run(createConfig("c", DATA));
        String secretId = secret().getId();
        String configId = config().getId();
        Command.Builder removeSecret = Command.newBuilder()
                .setRemoveSecret(RemoveSecretRequest.newBuilder().setSecretId(secretId));
        Command.Builder removeConfig = Command.newBuilder()
                .setRemoveConfig(RemoveConfigRequest.newBuilder().setConfigId(configId));
        leader.change(transaction -> {
            for (String name : new String[] {"web", "api"}) {
                var service = service(name, 1);
                service.getSpecBuilder()
                        .getTaskBuilder()
                        .getContainerBuilder()
                        .addSecrets(SecretReference.newBuilder().setSecretId(secretId));
                if (name.equals("web")) {
                    service.getSpecBuilder()
                            .getTaskBuilder()
                            .getContainerBuilder()
                            .addConfigs(ConfigReference.newBuilder().setConfigId(configId));
                }
                transaction.put(Kind.SERVICE, service.build());
            }
        });
        assertRefused(removeSecret, Code.INVALID_ARGUMENT, "secret 's' is in use by the following services: api, web");
        assertRefused(removeConfig, Code.INVALID_ARGUMENT, "config 'c' is in use by the following service: web");
        leader.change(transaction -> {
            transaction.remove(Kind.SERVICE, "web-id");
            transaction.remove(Kind.SERVICE, "api-id");
        });
        leader.run(removeSecret);
        leader.run(removeConfig);
        assertRefused(removeSecret, Code.NOT_FOUND, "secret " + secretId + " not found");
        assertRefused(removeConfig, Code.NOT_FOUND, "config " + configId + " not found");
    }
}
