package io.skep.engine.image;

import io.skep.engine.record.Config;
import io.skep.engine.record.HealthConfig;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * The configuration of an image (OCI image configuration, with Docker's additions).
 *
 * @param created as it was written, empty when unknown
 * @param diffIds digests of the layers without compression, lowest first
 */
public record ImageConfig(
        Platform platform,
        String created,
        String author,
        String comment,
        String dockerVersion,
        Config config,
        List<String> diffIds,
        List<History> history) {
    public static final int BYTES_MAX = 8 << 20;

    /**
     * One step of how the image was made.
     *
     * @param empty whether it made no layer
     */
    public record History(String created, String createdBy, String author, String comment, boolean empty) {}

    public ImageConfig {
        diffIds = List.copyOf(diffIds);
        history = List.copyOf(history);
    }

    /** Reads a configuration. */
    public static ImageConfig parse(byte[] text) throws IOException {
        Json json = Json.parse(text);
        Json root = json.object("rootfs");
        if (root.has("type") && !root.text("type").equals("layers")) {
            throw new IOException("the image's root file system is of the unknown type " + root.text("type"));
        }
        List<String> diffIds = root.texts("diff_ids");
        for (String diffId : diffIds) {
            if (!Reference.isDigest(diffId)) {
                throw new IOException("the image names a layer by \"" + diffId + "\", which is no digest of sha256");
            }
        }
        List<History> history = new ArrayList<>();
        for (Json step : json.objects("history")) {
            history.add(new History(
                    step.text("created"),
                    step.text("created_by"),
                    step.text("author"),
                    step.text("comment"),
                    step.flag("empty_layer")));
        }
        return new ImageConfig(
                Platform.of(json),
                json.text("created"),
                json.text("author"),
                json.text("comment"),
                json.text("docker_version"),
                config(json.object("config")),
                diffIds,
                history);
    }

    private static Config config(Json json) throws IOException {
        Config.Builder config = Config.newBuilder()
                .setHostname(json.text("Hostname"))
                .setDomainname(json.text("Domainname"))
                .setUser(json.text("User"))
                .setAttachStdin(json.flag("AttachStdin"))
                .setAttachStdout(json.flag("AttachStdout"))
                .setAttachStderr(json.flag("AttachStderr"))
                .addAllExposedPorts(json.keys("ExposedPorts"))
                .setTty(json.flag("Tty"))
                .setOpenStdin(json.flag("OpenStdin"))
                .setStdinOnce(json.flag("StdinOnce"))
                .addAllEnv(json.texts("Env"))
                .addAllCmd(json.texts("Cmd"))
                .setArgsEscaped(json.flag("ArgsEscaped"))
                .setImage(json.text("Image"))
                .addAllVolumes(json.keys("Volumes"))
                .setWorkingDir(json.text("WorkingDir"))
                .addAllEntrypoint(json.texts("Entrypoint"))
                .setNetworkDisabled(json.flag("NetworkDisabled"))
                .setMacAddress(json.text("MacAddress"))
                .addAllOnBuild(json.texts("OnBuild"))
                .putAllLabels(json.map("Labels"))
                .setStopSignal(json.text("StopSignal"))
                .addAllShell(json.texts("Shell"));
        if (json.has("StopTimeout")) {
            config.setStopTimeout(Math.toIntExact(Math.clamp(json.number("StopTimeout"), -1L, Integer.MAX_VALUE)));
        }
        if (json.has("Healthcheck")) {
            Json check = json.object("Healthcheck");
            config.setHealthcheck(HealthConfig.newBuilder()
                    .addAllTest(check.texts("Test"))
                    .setInterval(check.number("Interval"))
                    .setTimeout(check.number("Timeout"))
                    .setStartPeriod(check.number("StartPeriod"))
                    .setStartInterval(check.number("StartInterval"))
                    .setRetries(Math.toIntExact(Math.clamp(check.number("Retries"), 0L, Integer.MAX_VALUE))));
        }
        return config.build();
    }
}
