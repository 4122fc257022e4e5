package io.skep.api;

import io.skep.store.Kind;
import io.skep.wire.Annotations;
import io.skep.wire.Config;
import io.skep.wire.ConfigSpec;
import io.skep.wire.CreateConfigRequest;
import io.skep.wire.CreateSecretRequest;
import io.skep.wire.RemoveConfigRequest;
import io.skep.wire.RemoveSecretRequest;
import io.skep.wire.Secret;
import io.skep.wire.SecretSpec;
import io.skep.wire.UpdateConfigRequest;
import io.skep.wire.UpdateSecretRequest;
import io.skep.wire.Version;
import java.util.List;

/** {@code /secrets} and {@code /configs}. */
final class SecretEndpoints {
    private final Gate gate;

    SecretEndpoints(Gate gate) {
        this.gate = gate;
    }

    void addTo(Router router) {
        router.add("GET", "/secrets", this::listSecrets);
        router.add("POST", "/secrets/create", this::createSecret);
        router.add("GET", "/secrets/{id}", this::inspectSecret);
        router.add("DELETE", "/secrets/{id}", this::removeSecret);
        router.add("POST", "/secrets/{id}/update", this::updateSecret);
        router.add("GET", "/configs", this::listConfigs);
        router.add("POST", "/configs/create", this::createConfig);
        router.add("GET", "/configs/{id}", this::inspectConfig);
        router.add("DELETE", "/configs/{id}", this::removeConfig);
        router.add("POST", "/configs/{id}/update", this::updateConfig);
    }

    private Reply listSecrets(Call call) {
        Filters filters = call.filters("id", "label", "name", "names");
        List<Secret> secrets = Lookup.list(
                gate.cluster().read(),
                Kind.SECRET,
                secret -> !secret.getInternal()
                        && matches(filters, secret.getId(), secret.getSpec().getAnnotations()));
        return Reply.json(JsonOut.array(secrets, SecretJson::write));
    }

    private Reply createSecret(Call call) {
        SecretSpec spec = SecretJson.readSecret(call.json());
        String id = gate.execute(command ->
                        command.setCreateSecret(CreateSecretRequest.newBuilder().setSpec(spec)))
                .getSecret()
                .getId();
        return Reply.json(201, JsonOut.object(out -> out.text("ID", id)));
    }

    private Secret secret(Call call) {
        return Lookup.find(gate.cluster().read(), Kind.SECRET, call.path("id"));
    }

    private Reply inspectSecret(Call call) {
        Secret secret = secret(call);
        return Reply.json(JsonOut.object(out -> SecretJson.write(out, secret)));
    }

    private Reply removeSecret(Call call) {
        String id = secret(call).getId();
        gate.execute(command ->
                command.setRemoveSecret(RemoveSecretRequest.newBuilder().setSecretId(id)));
        return Reply.empty(204);
    }

    private Reply updateSecret(Call call) {
        SecretSpec spec = SecretJson.readSecret(call.json());
        long version = call.versionIndex("secret");
        String id = secret(call).getId();
        gate.execute(command -> command.setUpdateSecret(UpdateSecretRequest.newBuilder()
                .setSecretId(id)
                .setSecretVersion(Version.newBuilder().setIndex(version))
                .setSpec(spec)));
        return Reply.empty(200);
    }

    private Reply listConfigs(Call call) {
        Filters filters = call.filters("id", "label", "name", "names");
        List<Config> configs = Lookup.list(
                gate.cluster().read(),
                Kind.CONFIG,
                config -> matches(filters, config.getId(), config.getSpec().getAnnotations()));
        return Reply.json(JsonOut.array(configs, SecretJson::write));
    }

    private Reply createConfig(Call call) {
        ConfigSpec spec = SecretJson.readConfig(call.json());
        String id = gate.execute(command ->
                        command.setCreateConfig(CreateConfigRequest.newBuilder().setSpec(spec)))
                .getConfig()
                .getId();
        return Reply.json(201, JsonOut.object(out -> out.text("ID", id)));
    }

    private Config config(Call call) {
        return Lookup.find(gate.cluster().read(), Kind.CONFIG, call.path("id"));
    }

    private Reply inspectConfig(Call call) {
        Config config = config(call);
        return Reply.json(JsonOut.object(out -> SecretJson.write(out, config)));
    }

    private Reply removeConfig(Call call) {
        String id = config(call).getId();
        gate.execute(command ->
                command.setRemoveConfig(RemoveConfigRequest.newBuilder().setConfigId(id)));
        return Reply.empty(204);
    }

    private Reply updateConfig(Call call) {
        ConfigSpec spec = SecretJson.readConfig(call.json());
        long version = call.versionIndex("config");
        String id = config(call).getId();
        gate.execute(command -> command.setUpdateConfig(UpdateConfigRequest.newBuilder()
                .setConfigId(id)
                .setConfigVersion(Version.newBuilder().setIndex(version))
                .setSpec(spec)));
        return Reply.empty(200);
    }

    private static boolean matches(Filters filters, String id, Annotations annotations) {
        return filters.matchesPrefix("id", id)
                && filters.matchesPrefix("name", annotations.getName())
                && filters.matchesExactly("names", annotations.getName())
                && filters.matchesLabels("label", annotations.getLabelsMap());
    }
}
