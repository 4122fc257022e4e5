package io.skep.api;

import io.skep.engine.Container;
import io.skep.engine.Containers;
import io.skep.engine.record.ContainerRecord;
import io.skep.engine.record.ContainerState;
import io.skep.engine.record.ContainerStatus;
import java.time.Instant;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/** Which containers a list shows ({@code docker ps}). */
final class ContainerFilters {
    private static final Set<String> STATUSES =
            Set.of("created", "running", "paused", "restarting", "removing", "exited", "dead");
    private static final Set<String> HEALTHS = Set.of("none", "starting", "healthy", "unhealthy");

    private final Filters filters;
    private final Containers containers;

    /** @throws ApiException 400 when a value is none of those that its key takes */
    ContainerFilters(Filters filters, Containers containers) {
        this.filters = filters;
        this.containers = containers;
        requireKnown("status", STATUSES);
        requireKnown("health", HEALTHS);
        requireKnown("isolation", Set.of("default"));
        for (String code : filters.get("exited")) {
            try {
                Integer.parseInt(code);
            } catch (NumberFormatException e) {
                throw new ApiException(400, "invalid filter 'exited=" + code + "'");
            }
        }
    }

    private void requireKnown(String key, Set<String> known) {
        for (String value : filters.get(key)) {
            if (!known.contains(value)) {
                throw new ApiException(400, "invalid filter '" + key + "=" + value + "'");
            }
        }
    }

    /** Whether the filters themselves ask for containers that do not run. */
    boolean wantStopped() {
        return filters.has("status") || filters.has("exited");
    }

    /** Returns those that pass, the newest first. */
    List<Container> apply(Collection<Container> all) {
        Instant before = created("before");
        Instant since = created("since");
        return all.stream()
                .filter(container -> {
                    Instant made = Times.instant(container.record().getCreated());
                    return (before.equals(Instant.MIN) || made.isBefore(before))
                            && (since.equals(Instant.MIN) || made.isAfter(since));
                })
                .filter(container -> matches(container.record()))
                .toList();
    }

    private Instant created(String key) {
        Instant found = Instant.MIN;
        for (String reference : filters.get(key)) {
            found = Times.instant(containers.require(reference).record().getCreated());
        }
        return found;
    }

    private boolean matches(ContainerRecord record) {
        ContainerState state = record.getState();
        return pattern("id", record.getId())
                && (pattern("name", record.getName()) || pattern("name", "/" + record.getName()))
                && filters.matchesExactly("status", Container.word(state.getStatus()))
                && filters.matchesExactly(
                        "health", state.hasHealth() ? state.getHealth().getStatus() : "none")
                && filters.matchesLabels("label", record.getConfig().getLabelsMap())
                && exited(state)
                && any("ancestor", wanted -> isAncestor(wanted, record))
                && any("volume", wanted -> hasVolume(wanted, record))
                && any("network", wanted -> hasNetwork(wanted, record))
                && any("expose", wanted -> hasPort(wanted, record, false))
                && any("publish", wanted -> hasPort(wanted, record, true))
                && (!filters.has("is-task")
                        || filters.flag("is-task")
                                == record.getConfig().getLabelsMap().containsKey("com.docker.swarm.task.id"));
    }

    private boolean exited(ContainerState state) {
        return !filters.has("exited")
                || (state.getStatus() == ContainerStatus.EXITED
                        && filters.get("exited").contains(Integer.toString(state.getExitCode())));
    }

    private boolean any(String key, Predicate<String> matches) {
        return !filters.has(key) || filters.get(key).stream().anyMatch(matches);
    }

    private boolean pattern(String key, String value) {
        return any(key, wanted -> {
            try {
                return Pattern.compile(wanted).matcher(value).find();
            } catch (PatternSyntaxException e) {
                return value.contains(wanted);
            }
        });
    }

    private static boolean isAncestor(String wanted, ContainerRecord record) {
        String image = record.getConfig().getImage();
        String id = record.getImageId();
        return image.equals(wanted)
                || image.equals(wanted + ":latest")
                || (image + ":latest").equals(wanted)
                || id.equals(wanted)
                || (wanted.matches("[0-9a-f]{4,64}") && id.startsWith("sha256:" + wanted));
    }

    private static boolean hasVolume(String wanted, ContainerRecord record) {
        return record.getMountsList().stream()
                .anyMatch(mount -> mount.getName().equals(wanted)
                        || mount.getDestination().equals(wanted)
                        || mount.getSource().equals(wanted));
    }

    private static boolean hasNetwork(String wanted, ContainerRecord record) {
        return record.getHostConfig().getNetworkMode().equals(wanted)
                || record.getEndpointsMap().entrySet().stream()
                        .anyMatch(each -> each.getKey().equals(wanted)
                                || each.getValue().getNetworkId().startsWith(wanted));
    }

    private static boolean hasPort(String wanted, ContainerRecord record, boolean published) {
        int slash = wanted.indexOf('/');
        String protocol = slash < 0 ? "tcp" : wanted.substring(slash + 1);
        String range = slash < 0 ? wanted : wanted.substring(0, slash);
        int dash = range.indexOf('-');
        int first;
        int last;
        try {
            first = Integer.parseInt(dash < 0 ? range : range.substring(0, dash));
            last = dash < 0 ? first : Integer.parseInt(range.substring(dash + 1));
        } catch (NumberFormatException e) {
            throw new ApiException(400, "invalid port specification: \"" + wanted + "\"");
        }
        return ContainerJson.ports(record).stream().anyMatch(port -> {
            int number = published ? port.publicPort() : port.privatePort();
            return port.protocol().equals(protocol) && number >= first && number <= last && number > 0;
        });
    }
}
