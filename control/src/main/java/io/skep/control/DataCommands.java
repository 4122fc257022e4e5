package io.skep.control;

import io.skep.control.CommandException.Code;
import io.skep.store.ClusterState;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.CommandResult;
import io.skep.wire.Config;
import io.skep.wire.ConfigSpec;
import io.skep.wire.ContainerSpec;
import io.skep.wire.CreateConfigRequest;
import io.skep.wire.CreateSecretRequest;
import io.skep.wire.RemoveConfigRequest;
import io.skep.wire.RemoveSecretRequest;
import io.skep.wire.Secret;
import io.skep.wire.SecretSpec;
import io.skep.wire.UpdateConfigRequest;
import io.skep.wire.UpdateSecretRequest;
import java.util.List;
import java.util.function.Predicate;

/** The commands that make, label and remove secrets and configs (swarm-wire 8.5). */
final class DataCommands {
    private static final int SECRET_SIZE_LIMIT_BYTES = 512_000;
    private static final int CONFIG_SIZE_LIMIT_BYTES = 1_024_000;

    private final IdSource ids;

    DataCommands(IdSource ids) {
        this.ids = ids;
    }

    CommandResult createSecret(Transaction transaction, CreateSecretRequest request) {
        if (!request.hasSpec()) {
            throw Lookups.invalidArgument();
        }
        SecretSpec spec = request.getSpec();
        Names.requireDataName(spec.getAnnotations());
        if (spec.hasDriver()) {
            if (spec.getDriver().getName().isEmpty()) {
                throw invalid("secret driver must have a name");
            }
            if (!spec.getData().isEmpty()) {
                throw invalid("secret data must be empty when a secret driver is set");
            }
        } else {
            requireSize("secret", spec.getData().size(), SECRET_SIZE_LIMIT_BYTES);
        }
        String name = spec.getAnnotations().getName();
        if (transaction.state().secrets().byName(name) != null) {
            throw alreadyExists("secret", name);
        }
        return Answers.of(transaction.put(
                Kind.SECRET,
                Secret.newBuilder().setId(ids.nextId()).setSpec(spec).build()));
    }

    CommandResult updateSecret(Transaction transaction, UpdateSecretRequest request) {
        if (!request.hasSpec() || !request.hasSecretVersion()) {
            throw Lookups.invalidArgument();
        }
        Secret secret = Lookups.require(transaction.state(), Kind.SECRET, request.getSecretId());
        SecretSpec old = secret.getSpec();
        SecretSpec wanted = request.getSpec();
        // Readers never see the data, so they cannot send them back.
        boolean sameData = wanted.getData().isEmpty() || wanted.getData().equals(old.getData());
        boolean sameRest =
                wanted.getAnnotations().getName().equals(old.getAnnotations().getName())
                        && wanted.getTemplating().equals(old.getTemplating())
                        && wanted.getDriver().equals(old.getDriver());
        if (!sameData || !sameRest) {
            throw invalid("only updates to Labels are allowed");
        }
        Lookups.requireVersion(Kind.SECRET, secret, true, request.getSecretVersion());
        Secret.Builder updated = secret.toBuilder();
        updated.getSpecBuilder()
                .getAnnotationsBuilder()
                .clearLabels()
                .putAllLabels(wanted.getAnnotations().getLabelsMap());
        return Answers.of(transaction.put(Kind.SECRET, updated.build()));
    }

    CommandResult removeSecret(Transaction transaction, RemoveSecretRequest request) {
        String id = request.getSecretId();
        Secret secret = Lookups.require(transaction.state(), Kind.SECRET, id);
        requireUnused(
                transaction.state(),
                "secret",
                secret.getSpec().getAnnotations().getName(),
                container -> container.getSecretsList().stream()
                        .anyMatch(reference -> reference.getSecretId().equals(id)));
        transaction.remove(Kind.SECRET, id);
        return Answers.ofId(id);
    }

    CommandResult createConfig(Transaction transaction, CreateConfigRequest request) {
        if (!request.hasSpec()) {
            throw Lookups.invalidArgument();
        }
        ConfigSpec spec = request.getSpec();
        Names.requireDataName(spec.getAnnotations());
        requireSize("config", spec.getData().size(), CONFIG_SIZE_LIMIT_BYTES);
        String name = spec.getAnnotations().getName();
        if (transaction.state().configs().byName(name) != null) {
            throw alreadyExists("config", name);
        }
        return Answers.of(transaction.put(
                Kind.CONFIG,
                Config.newBuilder().setId(ids.nextId()).setSpec(spec).build()));
    }

    CommandResult updateConfig(Transaction transaction, UpdateConfigRequest request) {
        if (!request.hasSpec() || !request.hasConfigVersion()) {
            throw Lookups.invalidArgument();
        }
        Config config = Lookups.require(transaction.state(), Kind.CONFIG, request.getConfigId());
        ConfigSpec old = config.getSpec();
        ConfigSpec wanted = request.getSpec();
        boolean sameData = wanted.getData().isEmpty() || wanted.getData().equals(old.getData());
        boolean sameRest =
                wanted.getAnnotations().getName().equals(old.getAnnotations().getName())
                        && wanted.getTemplating().equals(old.getTemplating());
        if (!sameData || !sameRest) {
            throw invalid("only updates to Labels are allowed");
        }
        Lookups.requireVersion(Kind.CONFIG, config, true, request.getConfigVersion());
        Config.Builder updated = config.toBuilder();
        updated.getSpecBuilder()
                .getAnnotationsBuilder()
                .clearLabels()
                .putAllLabels(wanted.getAnnotations().getLabelsMap());
        return Answers.of(transaction.put(Kind.CONFIG, updated.build()));
    }

    CommandResult removeConfig(Transaction transaction, RemoveConfigRequest request) {
        String id = request.getConfigId();
        Config config = Lookups.require(transaction.state(), Kind.CONFIG, id);
        requireUnused(
                transaction.state(),
                "config",
                config.getSpec().getAnnotations().getName(),
                container -> container.getConfigsList().stream()
                                .anyMatch(reference -> reference.getConfigId().equals(id))
                        || container
                                .getPrivileges()
                                .getCredentialSpec()
                                .getConfig()
                                .equals(id));
        transaction.remove(Kind.CONFIG, id);
        return Answers.ofId(id);
    }

    private static void requireUnused(ClusterState state, String kind, String name, Predicate<ContainerSpec> usesIt) {
        List<String> users = state.services().values().stream()
                .filter(service -> usesIt.test(service.getSpec().getTask().getContainer()))
                .map(service -> service.getSpec().getAnnotations().getName())
                .sorted()
                .toList();
        if (!users.isEmpty()) {
            throw invalid(kind + " '" + name + "' is in use by the following service" + (users.size() == 1 ? "" : "s")
                    + ": " + String.join(", ", users));
        }
    }

    private static void requireSize(String kind, int sizeBytes, int limitBytes) {
        if (sizeBytes == 0 || sizeBytes >= limitBytes) {
            throw invalid(kind + " data must be larger than 0 and less than " + limitBytes + " bytes");
        }
    }

    private static CommandException alreadyExists(String kind, String name) {
        return new CommandException(Code.ALREADY_EXISTS, kind + " " + name + " already exists");
    }

    private static CommandException invalid(String text) {
        return new CommandException(Code.INVALID_ARGUMENT, text);
    }
}
