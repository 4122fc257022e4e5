package io.skep.api;

import io.skep.engine.Engine;
import org.jspecify.annotations.Nullable;

/** All endpoints of the API. */
final class Routes {
    private Routes() {}

    static Router of(EngineInfo engine, SwarmNode node, EventBuffer events, @Nullable Engine containers) {
        Router router = new Router();
        Gate gate = new Gate(node);
        EngineGate engineGate = new EngineGate(containers);
        new SystemEndpoints(engine, node, events, engineGate).addTo(router);
        new EventEndpoints(gate, events).addTo(router);
        new SwarmEndpoints(gate, node).addTo(router);
        new NodeEndpoints(gate).addTo(router);
        new ServiceEndpoints(gate).addTo(router);
        new TaskEndpoints(gate).addTo(router);
        new LogEndpoints(gate).addTo(router);
        new SecretEndpoints(gate).addTo(router);
        new NetworkEndpoints(gate, engineGate).addTo(router);
        new ContainerEndpoints(engineGate).addTo(router);
        new ExecEndpoints(engineGate).addTo(router);
        new ContainerFileEndpoints(engineGate).addTo(router);
        new StatisticsEndpoints(engineGate).addTo(router);
        new VolumeEndpoints(engineGate).addTo(router);
        new ImageEndpoints(engineGate).addTo(router);
        AbsentEndpoints.addTo(router);
        return router;
    }
}
