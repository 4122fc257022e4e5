package io.skep.api;

import io.skep.wire.ContainerStatus;
import io.skep.wire.Task;
import io.skep.wire.TaskStatus;

/** Tasks to JSON. */
final class TaskJson {
    private TaskJson() {}

    static void write(JsonOut out, Task task, ApiVersion version) {
        out.text("ID", task.getId());
        CommonJson.meta(out, task.getMeta());
        CommonJson.annotations(out, task.getAnnotations());
        out.object("Spec", spec -> TaskSpecJson.write(spec, task.getSpec()));
        out.textOrOmit("ServiceID", task.getServiceId());
        out.unsignedOrOmit("Slot", task.getSlot());
        out.textOrOmit("NodeID", task.getNodeId());
        out.object("Status", status -> status(status, task.getStatus()));
        out.text("DesiredState", Enums.lower(task.getDesiredState()));
        out.arrayOrOmit("NetworksAttachments", task.getNetworksList(), (item, attachment) -> {
            item.object("Network", network -> NetworkJson.attached(network, attachment.getNetwork()));
            item.textsOrOmit("Addresses", attachment.getAddressesList());
        });
        CommonJson.genericResources(out, task.getAssignedGenericResourcesList());
        if (task.hasJobIteration()) {
            out.object(
                    "JobIteration",
                    iteration -> iteration.unsignedOrOmit(
                            "Index", task.getJobIteration().getIndex()));
        }
        if (!version.before(1, 42)) {
            out.arrayOrNull("Volumes", task.getVolumesList(), (item, volume) -> {
                item.textOrOmit("ID", volume.getId());
                item.textOrOmit("Source", volume.getSource());
                item.textOrOmit("Target", volume.getTarget());
            });
        }
    }

    private static void status(JsonOut out, TaskStatus status) {
        out.time("Timestamp", status.getTimestamp());
        out.text("State", Enums.lower(status.getState()));
        out.textOrOmit("Message", status.getMessage());
        out.textOrOmit("Err", status.getErr());
        if (status.hasContainer()) {
            ContainerStatus container = status.getContainer();
            out.object("ContainerStatus", part -> {
                part.text("ContainerID", container.getContainerId());
                part.number("PID", container.getPid());
                part.number("ExitCode", container.getExitCode());
            });
        }
        out.object(
                "PortStatus",
                ports -> ports.arrayOrOmit("Ports", status.getPortStatus().getPortsList(), CommonJson::port));
    }
}
