package io.skep.api;

import io.skep.wire.Driver;
import io.skep.wire.IPAMConfig;
import io.skep.wire.IPAMOptions;
import io.skep.wire.Network;
import io.skep.wire.NetworkSpec;
import io.skep.wire.PortConfig;
import io.skep.wire.Service;
import io.skep.wire.Task;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Networks to and from JSON: as resource of the network endpoints, and as part of a task. */
final class NetworkJson {
    private NetworkJson() {}

    /**
     * A service on a network, for verbose inspection.
     *
     * @param address its virtual IP there, or empty
     * @param tasks its running tasks there, each with its address
     */
    record ServiceOn(Service service, String address, Map<Task, String> tasks) {}

    /**
     * Writes a network of the cluster as {@code /networks} shows it.
     *
     * @param services added when a verbose answer is asked for
     */
    static void write(JsonOut out, Network network, @Nullable List<ServiceOn> services, ApiVersion version) {
        NetworkSpec spec = network.getSpec();
        out.text("Name", spec.getAnnotations().getName());
        out.text("Id", network.getId());
        out.time("Created", network.getMeta().getCreatedAt());
        out.text("Scope", "swarm");
        out.text("Driver", driverName(network));
        if (!version.before(1, 48)) {
            out.flag("EnableIPv4", true);
        }
        out.flag("EnableIPv6", spec.getIpv6Enabled());
        out.object("IPAM", ipam -> ipam(ipam, network.hasIpam() ? network.getIpam() : spec.getIpam()));
        out.flag("Internal", spec.getInternal());
        out.flag("Attachable", spec.getAttachable());
        out.flag("Ingress", spec.getIngress());
        out.object("ConfigFrom", from -> from.text("Network", spec.getNetwork()));
        out.flag("ConfigOnly", false);
        out.nothing("Containers");
        out.mapOrNull("Options", network.getDriverState().getOptionsMap());
        out.mapOrNull("Labels", spec.getAnnotations().getLabelsMap());
        if (services != null && !services.isEmpty()) {
            out.object("Services", all -> {
                for (ServiceOn on : services) {
                    all.object(on.service().getSpec().getAnnotations().getName(), one -> service(one, on));
                }
            });
        }
    }

    private static void service(JsonOut out, ServiceOn on) {
        out.text("VIP", on.address());
        out.texts(
                "Ports",
                on.service().getEndpoint().getPortsList().stream()
                        .map(NetworkJson::portText)
                        .toList());
        out.number("LocalLBIndex", 0);
        out.array("Tasks", on.tasks().entrySet(), (item, task) -> {
            String name = on.service().getSpec().getAnnotations().getName();
            item.text("Name", TaskNames.of(task.getKey(), name));
            item.text("EndpointID", "");
            item.text("EndpointIP", task.getValue());
            item.map("Info", Map.of("Host IP", ""));
        });
    }

    private static String portText(PortConfig port) {
        return "Target: " + Integer.toUnsignedString(port.getTargetPort()) + ", Publish: "
                + Integer.toUnsignedString(port.getPublishedPort());
    }

    private static String driverName(Network network) {
        return network.hasDriverState()
                ? network.getDriverState().getName()
                : network.getSpec().getDriverConfig().getName();
    }

    private static void ipam(JsonOut out, IPAMOptions ipam) {
        String driver = ipam.getDriver().getName();
        out.text("Driver", driver.isEmpty() ? "default" : driver);
        out.mapOrNull("Options", ipam.getDriver().getOptionsMap());
        out.array("Config", ipam.getConfigsList(), (item, config) -> {
            item.textOrOmit("Subnet", config.getSubnet());
            item.textOrOmit("IPRange", config.getRange());
            item.textOrOmit("Gateway", config.getGateway());
            item.mapOrOmit("AuxiliaryAddresses", config.getReservedMap());
        });
    }

    /** Writes a network as part of a task. */
    static void attached(JsonOut out, Network network) {
        NetworkSpec spec = network.getSpec();
        out.text("ID", network.getId());
        CommonJson.meta(out, network.getMeta());
        out.object("Spec", part -> {
            CommonJson.annotations(part, spec.getAnnotations());
            if (spec.hasDriverConfig()) {
                part.object("DriverConfiguration", driver -> CommonJson.driver(driver, spec.getDriverConfig()));
            }
            part.flagOrOmit("IPv6Enabled", spec.getIpv6Enabled());
            part.flagOrOmit("Internal", spec.getInternal());
            part.flagOrOmit("Attachable", spec.getAttachable());
            part.flagOrOmit("Ingress", spec.getIngress());
            if (spec.hasIpam()) {
                part.object("IPAMOptions", ipam -> CommonJson.ipam(ipam, spec.getIpam()));
            }
            if (!spec.getNetwork().isEmpty()) {
                part.object("ConfigFrom", from -> from.text("Network", spec.getNetwork()));
            }
            part.text("Scope", "swarm");
        });
        out.object("DriverState", driver -> CommonJson.driver(driver, network.getDriverState()));
        if (network.hasIpam()) {
            out.object("IPAMOptions", ipam -> CommonJson.ipam(ipam, network.getIpam()));
        }
    }

    /**
     * Reads what {@code POST /networks/create} asks for.
     *
     * @throws ApiException 400 when it asks for what a network of a cluster cannot have
     */
    static NetworkSpec readSpec(JsonIn in) {
        if (in.flag("ConfigOnly")) {
            throw new ApiException(400, "configuration-only networks are local to an engine, not part of a swarm");
        }
        NetworkSpec.Builder spec = NetworkSpec.newBuilder()
                .setAnnotations(CommonJson.annotations(in))
                .setDriverConfig(Driver.newBuilder().setName(in.text("Driver")).putAllOptions(in.map("Options")))
                .setIpv6Enabled(in.flag("EnableIPv6"))
                .setInternal(in.flag("Internal"))
                .setAttachable(in.flag("Attachable"))
                .setIngress(in.flag("Ingress"));
        in.ifObject("IPAM", ipam -> spec.setIpam(readIpam(ipam)));
        String from = in.object("ConfigFrom").text("Network");
        if (!from.isEmpty()) {
            spec.setNetwork(from);
        }
        return spec.build();
    }

    private static IPAMOptions readIpam(JsonIn in) {
        String driver = in.text("Driver");
        IPAMOptions.Builder ipam = IPAMOptions.newBuilder()
                .setDriver(Driver.newBuilder()
                        .setName(driver.isEmpty() ? "default" : driver)
                        .putAllOptions(in.map("Options")));
        for (JsonIn config : in.objects("Config")) {
            ipam.addConfigs(IPAMConfig.newBuilder()
                    .setSubnet(config.text("Subnet"))
                    .setRange(config.text("IPRange"))
                    .setGateway(config.text("Gateway"))
                    .putAllReserved(config.map("AuxiliaryAddresses")));
        }
        return ipam.build();
    }
}
