package io.skep.api;

import io.skep.wire.Config;
import io.skep.wire.ConfigSpec;
import io.skep.wire.Secret;
import io.skep.wire.SecretSpec;

/** Secrets and configs to and from JSON. The data of a config is shown, that of a secret never. */
final class SecretJson {
    private SecretJson() {}

    static void write(JsonOut out, Secret secret) {
        out.text("ID", secret.getId());
        CommonJson.meta(out, secret.getMeta());
        out.object("Spec", spec -> {
            CommonJson.annotations(spec, secret.getSpec().getAnnotations());
            if (secret.getSpec().hasDriver()) {
                spec.object(
                        "Driver",
                        driver -> CommonJson.driver(driver, secret.getSpec().getDriver()));
            }
            if (secret.getSpec().hasTemplating()) {
                spec.object(
                        "Templating",
                        driver -> CommonJson.driver(driver, secret.getSpec().getTemplating()));
            }
        });
    }

    static SecretSpec readSecret(JsonIn in) {
        SecretSpec.Builder spec = SecretSpec.newBuilder()
                .setAnnotations(CommonJson.annotations(in))
                .setData(in.bytes("Data"));
        in.ifObject("Driver", driver -> spec.setDriver(CommonJson.driver(driver)));
        in.ifObject("Templating", driver -> spec.setTemplating(CommonJson.driver(driver)));
        return spec.build();
    }

    static void write(JsonOut out, Config config) {
        out.text("ID", config.getId());
        CommonJson.meta(out, config.getMeta());
        out.object("Spec", spec -> {
            CommonJson.annotations(spec, config.getSpec().getAnnotations());
            spec.bytesOrOmit("Data", config.getSpec().getData());
            if (config.getSpec().hasTemplating()) {
                spec.object(
                        "Templating",
                        driver -> CommonJson.driver(driver, config.getSpec().getTemplating()));
            }
        });
    }

    static ConfigSpec readConfig(JsonIn in) {
        ConfigSpec.Builder spec = ConfigSpec.newBuilder()
                .setAnnotations(CommonJson.annotations(in))
                .setData(in.bytes("Data"));
        in.ifObject("Templating", driver -> spec.setTemplating(CommonJson.driver(driver)));
        return spec.build();
    }
}
