package io.skep.api;

import java.util.List;

/** The endpoints of Docker's that Skep knows but does not serve yet: they say so, by name. */
final class AbsentEndpoints {
    private static final List<String> ENGINE = List.of(
            "GET /containers/json",
            "POST /containers/create",
            "GET /containers/{id}/json",
            "GET /containers/{id}/top",
            "GET /containers/{id}/logs",
            "GET /containers/{id}/changes",
            "GET /containers/{id}/export",
            "GET /containers/{id}/stats",
            "POST /containers/{id}/resize",
            "POST /containers/{id}/start",
            "POST /containers/{id}/stop",
            "POST /containers/{id}/restart",
            "POST /containers/{id}/kill",
            "POST /containers/{id}/update",
            "POST /containers/{id}/rename",
            "POST /containers/{id}/pause",
            "POST /containers/{id}/unpause",
            "POST /containers/{id}/attach",
            "GET /containers/{id}/attach/ws",
            "POST /containers/{id}/wait",
            "DELETE /containers/{id}",
            "HEAD /containers/{id}/archive",
            "GET /containers/{id}/archive",
            "PUT /containers/{id}/archive",
            "POST /containers/prune",
            "POST /commit",
            "POST /containers/{id}/exec",
            "GET /containers/{id}/checkpoints",
            "POST /containers/{id}/checkpoints",
            "DELETE /containers/{id}/checkpoints/{checkpoint}",
            "POST /exec/{id}/start",
            "POST /exec/{id}/resize",
            "GET /exec/{id}/json",
            "GET /images/json",
            "POST /build",
            "POST /build/prune",
            "POST /build/cancel",
            "POST /images/create",
            "GET /images/get",
            "GET /images/search",
            "POST /images/load",
            "POST /images/prune",
            "GET /images/{name...}/json",
            "GET /images/{name...}/history",
            "GET /images/{name...}/get",
            "POST /images/{name...}/push",
            "POST /images/{name...}/tag",
            "DELETE /images/{name...}",
            "GET /distribution/{name...}/json",
            "POST /session",
            "POST /grpc",
            "POST /auth",
            "GET /system/df",
            "GET /volumes",
            "POST /volumes/create",
            "POST /volumes/prune",
            "GET /volumes/{name...}",
            "PUT /volumes/{name...}",
            "DELETE /volumes/{name...}",
            "POST /networks/{id}/connect",
            "POST /networks/{id}/disconnect",
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
                                + " is not there yet: Skep has no container engine of its own so far, it runs services on"
                                + " the engines of its swarm");
            });
        }
    }
}
