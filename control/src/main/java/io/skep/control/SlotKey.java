package io.skep.control;

import io.skep.wire.Service;
import io.skep.wire.Task;

/**
 * The place of one instance of a service, which its tasks fill one after the other: a number, or for global services a
 * node.
 *
 * @param serviceId the service
 * @param slot the number; 0 for global services
 * @param nodeId the node; empty for replicated services, whose tasks may move
 */
record SlotKey(String serviceId, long slot, String nodeId) {
    static SlotKey of(Service service, Task task) {
        return TaskStates.isGlobal(service)
                ? new SlotKey(service.getId(), 0, task.getNodeId())
                : new SlotKey(service.getId(), task.getSlot(), "");
    }
}
