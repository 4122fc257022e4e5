package io.skep.api;

import io.skep.wire.Annotations;
import io.skep.wire.DiscreteGenericResource;
import io.skep.wire.Driver;
import io.skep.wire.GenericResource;
import io.skep.wire.IPAMConfig;
import io.skep.wire.IPAMOptions;
import io.skep.wire.Meta;
import io.skep.wire.NamedGenericResource;
import io.skep.wire.NodeTLSInfo;
import io.skep.wire.Platform;
import io.skep.wire.PortConfig;
import io.skep.wire.Resources;
import java.util.ArrayList;
import java.util.List;

/** The parts that several kinds of objects share, to and from JSON (engine-api 3.1). */
final class CommonJson {
    private CommonJson() {}

    static void meta(JsonOut out, Meta meta) {
        out.object(
                "Version",
                version -> version.unsignedOrOmit("Index", meta.getVersion().getIndex()));
        out.time("CreatedAt", meta.getCreatedAt());
        out.time("UpdatedAt", meta.getUpdatedAt());
    }

    static void annotations(JsonOut out, Annotations annotations) {
        out.textOrOmit("Name", annotations.getName());
        out.map("Labels", annotations.getLabelsMap());
    }

    static Annotations annotations(JsonIn in) {
        return Annotations.newBuilder()
                .setName(in.text("Name"))
                .putAllLabels(in.map("Labels"))
                .build();
    }

    static void driver(JsonOut out, Driver driver) {
        out.textOrOmit("Name", driver.getName());
        out.mapOrOmit("Options", driver.getOptionsMap());
    }

    static Driver driver(JsonIn in) {
        return Driver.newBuilder()
                .setName(in.text("Name"))
                .putAllOptions(in.map("Options"))
                .build();
    }

    static void platform(JsonOut out, Platform platform) {
        out.textOrOmit("Architecture", platform.getArchitecture());
        out.textOrOmit("OS", platform.getOs());
    }

    static void resources(JsonOut out, Resources resources) {
        out.numberOrOmit("NanoCPUs", resources.getNanoCpus());
        out.numberOrOmit("MemoryBytes", resources.getMemoryBytes());
        genericResources(out, resources.getGenericList());
    }

    static Resources resources(JsonIn in) {
        return Resources.newBuilder()
                .setNanoCpus(in.number("NanoCPUs"))
                .setMemoryBytes(in.number("MemoryBytes"))
                .addAllGeneric(genericResources(in))
                .build();
    }

    static void genericResources(JsonOut out, List<GenericResource> resources) {
        out.arrayOrOmit("GenericResources", resources, (item, resource) -> {
            if (resource.hasNamedResourceSpec()) {
                item.object("NamedResourceSpec", named -> {
                    named.textOrOmit("Kind", resource.getNamedResourceSpec().getKind());
                    named.textOrOmit("Value", resource.getNamedResourceSpec().getValue());
                });
            } else if (resource.hasDiscreteResourceSpec()) {
                item.object("DiscreteResourceSpec", discrete -> {
                    discrete.textOrOmit(
                            "Kind", resource.getDiscreteResourceSpec().getKind());
                    discrete.numberOrOmit(
                            "Value", resource.getDiscreteResourceSpec().getValue());
                });
            }
        });
    }

    private static List<GenericResource> genericResources(JsonIn in) {
        List<GenericResource> resources = new ArrayList<>();
        for (JsonIn item : in.objects("GenericResources")) {
            GenericResource.Builder resource = GenericResource.newBuilder();
            item.ifObject(
                    "NamedResourceSpec",
                    named -> resource.setNamedResourceSpec(NamedGenericResource.newBuilder()
                            .setKind(named.text("Kind"))
                            .setValue(named.text("Value"))));
            item.ifObject(
                    "DiscreteResourceSpec",
                    discrete -> resource.setDiscreteResourceSpec(DiscreteGenericResource.newBuilder()
                            .setKind(discrete.text("Kind"))
                            .setValue(discrete.number("Value"))));
            resources.add(resource.build());
        }
        return resources;
    }

    static void tlsInfo(JsonOut out, NodeTLSInfo info) {
        out.textOrOmit("TrustRoot", info.getTrustRoot().toStringUtf8());
        out.bytesOrOmit("CertIssuerSubject", info.getCertIssuerSubject());
        out.bytesOrOmit("CertIssuerPublicKey", info.getCertIssuerPublicKey());
    }

    static void port(JsonOut out, PortConfig port) {
        out.textOrOmit("Name", port.getName());
        out.text("Protocol", Enums.lower(port.getProtocol()));
        out.numberOrOmit("TargetPort", Integer.toUnsignedLong(port.getTargetPort()));
        out.numberOrOmit("PublishedPort", Integer.toUnsignedLong(port.getPublishedPort()));
        out.text("PublishMode", Enums.lower(port.getPublishMode()));
    }

    static PortConfig port(JsonIn in) {
        return PortConfig.newBuilder()
                .setName(in.text("Name"))
                .setProtocol(Enums.parse(in.text("Protocol"), PortConfig.Protocol.TCP, "invalid port Protocol: \"%s\""))
                .setTargetPort(in.unsigned32("TargetPort"))
                .setPublishedPort(in.unsigned32("PublishedPort"))
                .setPublishMode(Enums.parse(
                        in.text("PublishMode"), PortConfig.PublishMode.INGRESS, "invalid PublishMode: \"%s\""))
                .build();
    }

    static void ipam(JsonOut out, IPAMOptions ipam) {
        out.object("Driver", driver -> driver(driver, ipam.getDriver()));
        out.arrayOrOmit("Configs", ipam.getConfigsList(), CommonJson::ipamConfig);
    }

    private static void ipamConfig(JsonOut out, IPAMConfig config) {
        out.textOrOmit("Subnet", config.getSubnet());
        out.textOrOmit("Range", config.getRange());
        out.textOrOmit("Gateway", config.getGateway());
    }
}
