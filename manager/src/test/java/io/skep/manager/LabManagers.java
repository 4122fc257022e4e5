package io.skep.manager;

import com.google.protobuf.TextFormat;
import io.skep.control.CommandException;
import io.skep.wire.ContainerSpec;
import io.skep.wire.CreateServiceRequest;
import io.skep.wire.EndpointSpec;
import io.skep.wire.LogSelector;
import io.skep.wire.LogSubscriptionOptions;
import io.skep.wire.Node;
import io.skep.wire.NodeRole;
import io.skep.wire.NodeSpec;
import io.skep.wire.RemoveNodeRequest;
import io.skep.wire.RemoveServiceRequest;
import io.skep.wire.ReplicatedService;
import io.skep.wire.Service;
import io.skep.wire.ServiceSpec;
import io.skep.wire.Task;
import io.skep.wire.TaskSpec;
import io.skep.wire.UpdateNodeRequest;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/**
 * Managers for real engines to join, led by lines on standard input. Arguments: address of this machine as the engines
 * see it, and how many managers. Lines: {@code tokens}, {@code nodes}, {@code node ID}, {@code tasks}, {@code create
 * NAME REPLICAS COMMAND…}, {@code remove NAME}, {@code availability ID active|pause|drain}, {@code promote ID},
 * {@code forget ID}, {@code logs NAME}, {@code leader}, {@code crash} (the leader), {@code quit}.
 */
final class LabManagers {
    private static final PrintStream OUT = System.out;

    private LabManagers() {}

    public static void main(String[] arguments) throws Exception {
        Path directory = Files.createTempDirectory("lab-managers");
        try (TestCluster cluster = new TestCluster(directory, arguments[0], Duration.ofSeconds(5));
                BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            Manager first = cluster.bootstrap(2377);
            for (int i = 1; i < Integer.parseInt(arguments[1]); i++) {
                cluster.join(first, 2377 + i);
            }
            OUT.println("ready");
            for (String line = lines.readLine(); line != null && !line.equals("quit"); line = lines.readLine()) {
                try {
                    run(cluster, List.of(line.split(" ")));
                } catch (CommandException e) {
                    OUT.println(e.code() + ": " + e.text());
                }
                OUT.println("--");
            }
        }
        System.exit(0);
    }

    private static void run(TestCluster cluster, List<String> words) throws Exception {
        Manager manager = new ArrayList<>(cluster.running.values()).getLast();
        String argument = words.size() > 1 ? words.get(1) : "";
        switch (words.getFirst()) {
            case "tokens" -> OUT.println(TestCluster.workerToken(manager) + "\n" + TestCluster.managerToken(manager));
            case "nodes" -> {
                for (Node node : manager.read().nodes().values()) {
                    OUT.println(node.getId() + " " + node.getDescription().getHostname() + " "
                            + node.getStatus().getState() + " "
                            + node.getSpec().getAvailability() + " "
                            + node.getRole() + " " + node.getStatus().getAddr() + " "
                            + node.getStatus().getMessage());
                }
            }
            case "node" ->
                OUT.println(TextFormat.printer()
                        .printToString(TestCluster.node(manager, argument).toBuilder()
                                .clearCertificate()
                                .build()));
            case "tasks" -> {
                for (Task task : manager.read().tasks().values()) {
                    OUT.println(task.getId() + " "
                            + task.getServiceAnnotations().getName() + "."
                            + task.getSlot() + " on " + task.getNodeId() + " wanted " + task.getDesiredState() + " is "
                            + task.getStatus().getState() + " "
                            + task.getStatus().getMessage() + " "
                            + task.getStatus().getErr());
                }
            }
            case "create" ->
                OUT.println(manager.execute(TestCluster.command()
                                .setCreateService(CreateServiceRequest.newBuilder()
                                        .setSpec(service(
                                                argument,
                                                Integer.parseInt(words.get(2)),
                                                words.subList(3, words.size()))))
                                .build())
                        .getService()
                        .getId());
            case "remove" ->
                manager.execute(TestCluster.command()
                        .setRemoveService(RemoveServiceRequest.newBuilder().setServiceId(serviceId(manager, argument)))
                        .build());
            case "availability" -> {
                Node node = TestCluster.node(manager, argument);
                update(
                        manager,
                        node,
                        node.getSpec().toBuilder()
                                .setAvailability(NodeSpec.Availability.valueOf(words.get(2)))
                                .build());
            }
            case "promote" -> {
                Node node = TestCluster.node(manager, argument);
                update(
                        manager,
                        node,
                        node.getSpec().toBuilder()
                                .setDesiredRole(NodeRole.MANAGER)
                                .build());
            }
            case "forget" ->
                manager.execute(TestCluster.command()
                        .setRemoveNode(RemoveNodeRequest.newBuilder()
                                .setNodeId(argument)
                                .setForce(true))
                        .build());
            case "logs" -> {
                var _ = manager.subscribeLogs(
                        LogSelector.newBuilder()
                                .addServiceIds(serviceId(manager, argument))
                                .build(),
                        LogSubscriptionOptions.getDefaultInstance(),
                        message -> message.getMessagesList()
                                .forEach(line -> OUT.print(line.getContext().getTaskId() + " "
                                        + line.getData().toStringUtf8())),
                        end -> OUT.println("end of logs " + end));
            }
            case "leader" -> OUT.println(manager.leadership() + " " + manager.members());
            case "crash" -> {
                String leader = manager.leadership().leaderId();
                Manager leading = leader == null ? null : cluster.running.get(leader);
                if (leading != null) {
                    cluster.crash(leading);
                }
            }
            default -> OUT.println("unknown: " + words);
        }
    }

    private static String serviceId(Manager manager, String name) {
        Service service = manager.read().services().byName(name);
        return service == null ? "" : service.getId();
    }

    private static void update(Manager manager, Node node, NodeSpec spec) {
        manager.execute(TestCluster.command()
                .setUpdateNode(UpdateNodeRequest.newBuilder()
                        .setNodeId(node.getId())
                        .setNodeVersion(node.getMeta().getVersion())
                        .setSpec(spec))
                .build());
    }

    private static ServiceSpec service(String name, int replicas, List<String> command) {
        ServiceSpec.Builder spec = ServiceSpec.newBuilder()
                .setReplicated(ReplicatedService.newBuilder().setReplicas(replicas))
                .setEndpoint(EndpointSpec.newBuilder().setMode(EndpointSpec.ResolutionMode.DNSRR))
                .setTask(TaskSpec.newBuilder()
                        .setContainer(
                                ContainerSpec.newBuilder().setImage("bb:latest").addAllCommand(command)));
        spec.getAnnotationsBuilder().setName(name);
        return spec.build();
    }
}
