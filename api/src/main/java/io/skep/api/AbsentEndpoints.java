package io.skep.api;

import java.util.List;

/** The endpoints of Docker's that Skep knows but does not serve yet: they say so, by name. */
final class AbsentEndpoints {
    private static final List<String> ENGINE = List.of(
            "GET /containers/{id}/attach/ws",
            "POST /commit",
            "GET /containers/{id}/checkpoints",
            "POST /containers/{id}/checkpoints",
            "DELETE /containers/{id}/checkpoints/{checkpoint}",
            "POST /build",
            "POST /build/prune",
            "POST /build/cancel",
            "POST /session",
            "POST /grpc",
            "POST /auth",
            "GET /plugins",
            "GET /plugins/privileges",
            "POST /plugins/pull",
            "POST /plugins/create",
            "GET /plugins/{name...}/json",
            "DELETE /plugins/{name...}",
            "POST /plugins/{name...}/enable",
            "POST /plugins/{name...}/disable",
            "POST /plugins/{name...}/upgrade",
            "POST /plugins/{name...}/push",
            "POST /plugins/{name...}/set");

    private AbsentEndpoints() {}

    static void addTo(Router router) {
        for (String endpoint : ENGINE) {
            int space = endpoint.indexOf(' ');
            router.add(endpoint.substring(0, space), endpoint.substring(space + 1), call -> {
                throw new ApiException(
                        501,
                        endpoint.replace("...", "")
                                + " is not there yet: Skep does not have this part of the Docker API");
            });
        }
    }
}
