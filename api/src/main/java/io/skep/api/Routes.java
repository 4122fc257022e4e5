package io.skep.api;

/** All endpoints of the API. */
final class Routes {
    private Routes() {}

    static Router of(EngineInfo engine, SwarmNode node) {
        Router router = new Router();
        new SystemEndpoints(engine, node).addTo(router);
        return router;
    }
}
