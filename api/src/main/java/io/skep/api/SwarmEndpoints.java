package io.skep.api;

import io.skep.wire.Cluster;
import io.skep.wire.ClusterSpec;
import io.skep.wire.EncryptionKey;
import io.skep.wire.KeyRotation;
import io.skep.wire.UpdateClusterRequest;
import io.skep.wire.Version;
import java.util.Base64;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** {@code /swarm}. */
final class SwarmEndpoints {
    private static final String UNLOCK_KEY_SUBSYSTEM = "swarm-manager";
    private static final int SUBNET_PREFIX_MAX = 29;
    private static final Pattern PREFIX = Pattern.compile("/([0-9]{1,3})$");

    private final Gate gate;
    private final SwarmNode node;

    SwarmEndpoints(Gate gate, SwarmNode node) {
        this.gate = gate;
        this.node = node;
    }

    void addTo(Router router) {
        router.add("GET", "/swarm", this::inspect);
        router.add("POST", "/swarm/init", this::init);
        router.add("POST", "/swarm/join", this::join);
        router.add("POST", "/swarm/leave", this::leave);
        router.add("POST", "/swarm/update", this::update);
        router.add("GET", "/swarm/unlockkey", this::unlockKey);
        router.add("POST", "/swarm/unlock", this::unlock);
    }

    private Cluster cluster() {
        Cluster cluster = gate.cluster().read().cluster();
        if (cluster == null) {
            throw new ApiException(503, "the cluster is not set up yet; try again");
        }
        return cluster;
    }

    private Reply inspect(Call call) {
        Cluster cluster = cluster();
        return Reply.json(JsonOut.object(out -> ClusterJson.writeSwarm(out, cluster)));
    }

    private Reply init(Call call) {
        JsonIn in = call.json();
        ClusterSpec spec = ClusterJson.readSpec(in.object("Spec"));
        boolean autoLock =
                in.flag("AutoLockManagers") || spec.getEncryptionConfig().getAutoLockManagers();
        boolean pools = !call.version().before(1, 39);
        boolean dataPathPort = !call.version().before(1, 40);
        if (pools) {
            checkPools(in.texts("DefaultAddrPool"), in.unsigned32("SubnetSize"));
        }
        String id = node.init(new SwarmNode.InitRequest(
                in.text("ListenAddr"),
                in.text("AdvertiseAddr"),
                in.text("DataPathAddr"),
                dataPathPort ? in.unsigned32("DataPathPort") : 0,
                in.flag("ForceNewCluster"),
                spec.toBuilder()
                        .setEncryptionConfig(
                                spec.getEncryptionConfig().toBuilder().setAutoLockManagers(autoLock))
                        .build(),
                autoLock,
                NodeJson.availability(in),
                pools ? in.texts("DefaultAddrPool") : List.of(),
                pools ? in.unsigned32("SubnetSize") : 0));
        return Reply.json(JsonOut.string(id));
    }

    /** Refuses, in Docker's words, pools without room for one subnet; what is no subnet at all is refused later. */
    private static void checkPools(List<String> pools, int subnetPrefix) {
        if (subnetPrefix > SUBNET_PREFIX_MAX) {
            throw new ApiException(400, "subnet size is out of range: " + subnetPrefix);
        }
        for (String pool : pools) {
            Matcher prefix = PREFIX.matcher(pool);
            if (subnetPrefix != 0 && prefix.find() && Integer.parseInt(prefix.group(1)) > subnetPrefix) {
                throw new ApiException(
                        400, "invalid CIDR: \"" + pool + "\". Subnet size is too small for pool: " + subnetPrefix);
            }
        }
    }

    private Reply join(Call call) {
        JsonIn in = call.json();
        node.join(new SwarmNode.JoinRequest(
                in.text("ListenAddr"),
                in.text("AdvertiseAddr"),
                in.text("DataPathAddr"),
                in.texts("RemoteAddrs"),
                in.text("JoinToken"),
                NodeJson.availability(in)));
        return Reply.empty(200);
    }

    private Reply leave(Call call) {
        node.leave(call.flag("force"));
        return Reply.empty(200);
    }

    private Reply update(Call call) {
        ClusterSpec spec = ClusterJson.readSpec(call.json());
        long version = call.versionIndex("swarm");
        KeyRotation rotation = KeyRotation.newBuilder()
                .setWorkerJoinToken(call.strictFlag("rotateWorkerToken"))
                .setManagerJoinToken(call.strictFlag("rotateManagerToken"))
                .setManagerUnlockKey(call.strictFlag("rotateManagerUnlockKey"))
                .build();
        Cluster cluster = cluster();
        gate.execute(command -> command.setUpdateCluster(UpdateClusterRequest.newBuilder()
                .setClusterId(cluster.getId())
                .setClusterVersion(Version.newBuilder().setIndex(version))
                .setSpec(spec)
                .setRotation(rotation)));
        return Reply.empty(200);
    }

    private Reply unlockKey(Call call) {
        Cluster cluster = cluster();
        String key = "";
        if (cluster.getSpec().getEncryptionConfig().getAutoLockManagers()) {
            for (EncryptionKey unlock : cluster.getUnlockKeysList()) {
                if (unlock.getSubsystem().equals(UNLOCK_KEY_SUBSYSTEM)) {
                    key = "SWMKEY-1-"
                            + Base64.getEncoder()
                                    .withoutPadding()
                                    .encodeToString(unlock.getKey().toByteArray());
                }
            }
        }
        String text = key;
        return Reply.json(JsonOut.object(out -> out.text("UnlockKey", text)));
    }

    private Reply unlock(Call call) {
        node.unlock(call.json().text("UnlockKey"));
        return Reply.empty(200);
    }
}
