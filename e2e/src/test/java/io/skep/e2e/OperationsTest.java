package io.skep.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * What each docker command about a cluster says, in the words of a stock Docker Swarm that gets the same commands. A
 * command line here is one that both clusters answered alike, in status, output and errors; the few places where Skep
 * means to differ are not in it.
 */
@ExtendWith(Evidence.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class OperationsTest {
    private static final String CREATE = "service create --detach --quiet --no-resolve-image --name subject ";
    private static final String SLEEPER = " bb:1 sh -c 'trap \"exit 0\" TERM; while :; do sleep 3600 & wait $!; done'";

    private final Instant start = Instant.now();
    private Twins twins;

    @BeforeAll
    void open() {
        twins = new Twins(cli());
    }

    /** The docker CLI that asks. */
    String cli() {
        return "docker";
    }

    @AfterAll
    void close() {
        twins.close();
    }

    @Test
    @Order(1)
    void outsideOfASwarm() {
        for (String line :
                List.of("node ls", "service ls", "swarm join-token worker", "secret ls", "config ls", "swarm ca")) {
            twins.refused("This node is not a swarm manager", line);
        }
        twins.refused("This node is not part of a swarm", "swarm leave");
        twins.answers("inactive false", "info --format '{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}'");
        twins.refused("advertise address must be", "swarm init --advertise-addr nonsense");
        twins.refused("advertise address must be", "swarm init --advertise-addr 300.1.1.1");
        twins.refused("only active, pause and drain", "swarm init --advertise-addr {net}.1 --availability sleepy");
        twins.refused(
                "is too small for pool: 8",
                "swarm init --advertise-addr {net}.1 --default-addr-pool 10.1.0.0/16"
                        + " --default-addr-pool-mask-length 8");
        twins.refused(
                "subnet size is out of range: 30",
                "swarm init --advertise-addr {net}.1 --default-addr-pool 10.1.0.0/16"
                        + " --default-addr-pool-mask-length 30");
        twins.refused("Datapath port number is not", "swarm init --advertise-addr {net}.1 --data-path-port 80");
    }

    @Test
    @Order(2)
    void initTakesItsFlags() {
        assertThat(twins.same("swarm init --advertise-addr {net}.1 --availability pause --cert-expiry 48h"
                                + " --dispatcher-heartbeat 7s --task-history-limit 3 --default-addr-pool 10.30.0.0/16"
                                + " --default-addr-pool-mask-length 26 --data-path-port 7777 --snapshot-interval 5000"
                                + " --max-snapshots 1 --autolock")
                        .expect())
                .contains("docker swarm join --token {token} {net}.1:2377", "provide the following key", "{key}");
        assertThat(twins.same("info --format '{{json .Swarm.Cluster.Spec}}'").expect())
                .contains("\"NodeCertExpiry\":172800000000000", "\"AutoLockManagers\":true");
        twins.answers(
                "[10.30.0.0/16] 26 7777 false {net}.1 [{{id} {net}.1:2377}]",
                "info --format '{{with .Swarm}}{{with .Cluster}}{{.DefaultAddrPool}} {{.SubnetSize}}"
                        + " {{.DataPathPort}} {{.RootRotationInProgress}}{{end}} {{.NodeAddr}} {{.RemoteManagers}}{{end}}'");
        twins.refused("already part of a swarm", "swarm init");
        twins.refused("already part of a swarm", "swarm join --token SWMTKN-1-x {net}.1:2377");
        twins.answers("Swarm updated.", "swarm update --autolock=false");
        twins.refused("Use `--force` to ignore this message", "swarm leave");
        twins.answers("Node left the swarm.", "swarm leave --force");
        twins.same("swarm init --advertise-addr eth0").expect();
        twins.answers("Node left the swarm.", "swarm leave --force");
    }

    @Test
    @Order(3)
    void tokensAndSettings() {
        twins.same("swarm init --advertise-addr {net}.1 --availability drain").expect();
        assertThat(twins.same("swarm join-token worker").expect()).contains("swarm join --token {token} {net}.1:2377");
        assertThat(twins.same("swarm join-token manager").expect()).contains("To add a manager");
        twins.refused("unknown role clown", "swarm join-token clown");
        twins.same("swarm join-token --rotate worker").expect();
        assertThat(twins.same(2, "swarm join --token SWMTKN-1-bad {net}.1:2377").expectFailure())
                .contains("invalid join token");
        twins.same("swarm update --task-history-limit 2 --dispatcher-heartbeat 6s")
                .expect();
        twins.refused("minimum certificate expiry time is: 1h0m0s", "swarm update --cert-expiry 10m");
        twins.answers(
                "2 6s",
                "info --format '{{with .Swarm.Cluster.Spec}}{{.Orchestration.TaskHistoryRetentionLimit}}"
                        + " {{.Dispatcher.HeartbeatPeriod}}{{end}}'");
        assertThat(twins.same("swarm update --autolock=true").expect()).contains("{key}");
        twins.answers("{key}", "swarm unlock-key -q");
        twins.answers("{key}", "swarm unlock-key --rotate -q");
        twins.refused("swarm is not locked", "swarm unlock");
        twins.same("swarm update --autolock=false").expect();
        assertThat(twins.same("swarm unlock-key").out()
                        + twins.same("swarm unlock-key").err())
                .contains("no unlock key is set");
        // Each cluster has a root of its own; both print it as one certificate.
        assertThat(twins.skep().docker("swarm", "ca").expect())
                .startsWith("-----BEGIN CERTIFICATE-----")
                .endsWith("-----END CERTIFICATE-----");
        twins.refused("requires the `--rotate` flag", "swarm ca --cert-expiry 2h");
    }

    @Test
    @Order(4)
    void nodes() {
        twins.join();
        twins.answers(
                "{host}2 Ready Active  20.10.24+dfsg1 Ready",
                "node ls --filter role=worker --format"
                        + " '{{.Hostname}} {{.Status}} {{.Availability}} {{.ManagerStatus}} {{.EngineVersion}} {{.TLSStatus}}'");
        twins.answers("{host}1\n{host}2", "node ls --filter name={host} --format {{.Hostname}}");
        for (String line : List.of("node ls", "service ls", "node inspect self")) {
            assertThat(twins.same(2, line).expectFailure()).contains("Worker nodes can't be used to view or modify");
        }
        twins.refused("Invalid role filter: 'clown'", "node ls --filter role=clown");
        twins.refused("invalid filter 'colour'", "node ls --filter colour=red");
        twins.same("node update --label-add disk=ssd --label-add empty {host}2").expect();
        twins.answers("{host}2", "node ls --filter node.label=disk=ssd --format {{.Hostname}}");
        twins.answers("{host}2", "node ls --filter node.label=disk --format {{.Hostname}}");
        twins.answers("", "node ls --filter node.label=disk=tape --format {{.Hostname}}");
        twins.answers("", "node ls --filter label=disk=ssd --format {{.Hostname}}");
        twins.same("node update --label-rm disk {host}2").expect();
        twins.refused("key disk doesn't exist in node's labels", "node update --label-rm disk {host}2");
        twins.answers(
                "{\"Labels\":{\"empty\":\"\"},\"Role\":\"worker\",\"Availability\":\"active\"} ready {net}.2 {x86_64 linux}",
                "node inspect {host}2 --format"
                        + " '{{json .Spec}} {{.Status.State}} {{.Status.Addr}} {{.Description.Platform}}'");
        twins.answers(
                "manager drain true reachable {net}.1:2377",
                "node inspect self --format '{{.Spec.Role}} {{.Spec.Availability}} {{.ManagerStatus.Leader}}"
                        + " {{.ManagerStatus.Reachability}} {{.ManagerStatus.Addr}}'");
        twins.refused("node nobody not found", "node inspect nobody");
        twins.refused("node nobody not found", "node rm nobody");
        twins.refused("node nobody not found", "node promote nobody");
        twins.refused("invalid Availability: \"sleepy\"", "node update --availability sleepy {host}2");
        twins.refused("invalid Role: \"king\"", "node update --role king {host}2");
        twins.refused("attempting to demote the last manager of the swarm", "node demote {host}1");
        twins.answers("Node {id} is already a worker.", "node demote {host}2");
        twins.answers("Node {id} is already a manager.", "node promote {host}1");
        twins.refused("is a cluster manager and is a member of the raft cluster", "node rm {host}1");
        twins.refused("is a cluster manager and is a member of the raft cluster", "node rm --force {host}1");
        twins.refused("is not down and can't be removed", "node rm {host}2");
        twins.same("node ps {host}2").expect();
        twins.refused("invalid filter 'colour'", "node ps --filter colour=red");
    }

    @Test
    @Order(5)
    void badServicesAreRefused() {
        twins.refused("name must be valid as a DNS name component", CREATE.replace("subject", "'bad name'") + "bb:1");
        twins.refused("\"bb:1:2\" is not a valid repository/tag", CREATE + "bb:1:2");
        twins.refused("\"UPPER\" is not a valid repository/tag", CREATE + "UPPER");
        twins.refused("Unknown mode: sometimes", CREATE + "--mode sometimes bb:1");
        twins.refused("replicas can only be used", CREATE + "--mode global --replicas 2 bb:1");
        twins.refused("constraint expected one operator from ==, !=", CREATE + "--constraint node.hostname~x bb:1");
        twins.refused("value '' is invalid", CREATE + "--constraint node.hostname== bb:1");
        twins.refused("invalid memory value 1048576: Must be at least 4MiB", CREATE + "--limit-memory 1m bb:1");
        twins.refused("invalid cpu value 1e-07: Must be at least 0.001", CREATE + "--limit-cpu 0.0000001 bb:1");
        twins.refused("invalid cpu value 1e-07: Must be at least 0.001", CREATE + "--reserve-cpu 0.0000001 bb:1");
        twins.refused("invalid RestartCondition: \"maybe\"", CREATE + "--restart-condition maybe bb:1");
        twins.refused("restart-delay cannot be negative", CREATE + "--restart-delay -1s bb:1");
        twins.refused("update-delay cannot be negative", CREATE + "--update-delay -1s bb:1");
        twins.refused("update-monitor cannot be negative", CREATE + "--update-monitor -2s bb:1");
        twins.refused("unrecognized update order sideways", CREATE + "--update-order sideways bb:1");
        twins.refused("unrecognized update failure action shrug", CREATE + "--update-failure-action shrug bb:1");
        twins.refused("cannot be less than 0 or bigger than 1", CREATE + "--update-max-failure-ratio 2 bb:1");
        twins.refused("can't be used with dnsrr mode", CREATE + "--publish 80:80 --endpoint-mode dnsrr bb:1");
        twins.refused("duplicate published ports", CREATE + "--publish 8080:80 --publish 8080:81 bb:1");
        twins.refused("invalid resolution mode: \"magic\"", CREATE + "--endpoint-mode magic bb:1");
        twins.refused("invalid MountType: \"magic\"", CREATE + "--mount type=magic,target=/x bb:1");
        twins.refused(
                "invalid MountPropagation: \"x\"",
                CREATE + "--mount type=bind,source=/a,target=/b,bind-propagation=x bb:1");
        twins.refused(
                "duplicate mount point: /x", CREATE + "--mount type=tmpfs,target=/x --mount type=tmpfs,target=/x bb:1");
        twins.refused("network none-such not found", CREATE + "--network none-such bb:1");
        twins.refused("secret not found: none-such", CREATE + "--secret none-such bb:1");
        twins.refused("config not found: none-such", CREATE + "--config none-such bb:1");
        twins.refused(
                "Interval in HealthConfig cannot be less than 1ms",
                CREATE + "--health-interval 1us --health-cmd x bb:1");
        twins.refused("Retries in HealthConfig cannot be negative", CREATE + "--health-retries -1 --health-cmd x bb:1");
        twins.refused("not supported for jobs", CREATE + "--mode replicated-job --update-parallelism 2 bb:1");
        twins.answers("", "service ls -q");
        for (String verb : List.of("rm", "inspect", "ps", "logs", "update", "rollback")) {
            twins.refused("_nothing_", "service " + verb + " _nothing_");
        }
        twins.refused("service _nothing_ not found", "service scale _nothing_=1");
        twins.refused("scale specifier '_nothing_'", "service scale _nothing_");
        twins.refused("invalid filter 'colour'", "service ls --filter colour=red");
    }

    @Test
    @Order(6)
    void secretsConfigsAndNetworks() {
        for (String kind : List.of("secret", "config")) {
            twins.refused("only 64 [a-zA-Z0-9-_.] characters allowed", kind + " create bad/name /etc/passwd");
            twins.answers("{id}", kind + " create one /etc/hostname");
            twins.refused(kind + " one already exists", kind + " create one /etc/hostname");
            twins.answers("{id}", kind + " create --label a=b two /etc/hostname");
            twins.answers("one\ntwo", kind + " ls --format {{.Name}}");
            twins.answers("one", kind + " ls --filter name=on --format {{.Name}}");
            twins.answers("two", kind + " ls --filter label=a=b --format {{.Name}}");
            twins.answers("", kind + " ls --filter label=a=c --format {{.Name}}");
            twins.refused("invalid filter 'colour'", kind + " ls --filter colour=red");
            assertThat(twins.same(kind + " inspect two --format '{{json .Spec}}'")
                            .expect())
                    .contains("\"Labels\":{\"a\":\"b\"}");
            twins.refused("not found", kind + " inspect nothing");
            twins.refused("not found", kind + " rm nothing");
        }
        twins.answers("{id}", "network create --driver overlay plain");
        twins.refused("network with name plain already exists", "network create --driver overlay plain");
        twins.answers(
                "{id}",
                "network create --driver overlay --subnet 10.77.0.0/24 --label a=b --attachable --internal special");
        twins.refused("is already present", "network create --driver overlay --ingress second");
        twins.answers(
                "special swarm overlay {default map[] [{10.77.0.0/24  10.77.0.1 map[]}]} true true false map[a:b]",
                "network inspect special --format '{{.Name}} {{.Scope}} {{.Driver}} {{.IPAM}} {{.Attachable}}"
                        + " {{.Internal}} {{.Ingress}} {{.Labels}}'");
        twins.answers(
                "overlay {default map[] [{10.0.1.0/24  10.0.1.1 map[]}]}"
                        + " map[com.docker.network.driver.overlay.vxlanid_list:4097]",
                "network inspect plain --format '{{.Driver}} {{.IPAM}} {{.Options}}'");
        twins.answers("true", "network inspect ingress --format {{.Ingress}}");
        twins.answers(
                "ingress overlay\nplain overlay\nspecial overlay",
                "network ls --filter scope=swarm --format '{{.Name}} {{.Driver}}'");
        twins.answers("special", "network ls --filter label=a=b --format {{.Name}}");
        twins.answers("plain", "network ls --filter name=plain --format {{.Name}}");
        twins.refused("invalid filter 'colour'", "network ls --filter colour=red");
        twins.refused("network nothing not found", "network inspect nothing");
        twins.answers("{id}", CREATE + "--network plain --replicas 0 bb:1");
        twins.refused("is in use by service {id}", "network rm plain");
        twins.answers("subject", "service rm subject");
        twins.answers("plain\nspecial", "network rm plain special");
    }

    @Test
    @Order(7)
    void aServiceFromCreationToRemoval() {
        Instant created = Instant.now();
        twins.answers(
                "{id}",
                "service create --quiet --no-resolve-image --name web --endpoint-mode dnsrr --replicas 2 --label a=b"
                        + " --env A=1 --constraint node.role==worker --secret one --config two"
                        + " bb:1 sh -c 'echo first; echo hello; trap \"exit 0\" TERM; while :; do sleep 3600 & wait $!; done'");
        twins.answers(
                "web.1 bb:1 {host}2 Running\nweb.2 bb:1 {host}2 Running",
                "service ps web --format '{{.Name}} {{.Image}} {{.Node}} {{.DesiredState}}{{.Error}}'");
        twins.answers("web replicated 2/2 bb:1", "service ls --format '{{.Name}} {{.Mode}} {{.Replicas}} {{.Image}}'");
        twins.answers("web.1", "service ps web --filter name=web.1 --format {{.Name}}");
        twins.answers("", "service ps web --filter node=self --format {{.Name}}");
        twins.answers("", "service ps web --filter desired-state=shutdown --format {{.Name}}");
        twins.refused("Invalid desired-state filter: 'bogus'", "service ps web --filter desired-state=bogus");
        twins.answers("web.2", "node ps {host}2 --filter name=web.2 --format {{.Name}}");
        twins.answers("web", "service ls --filter name=we --filter mode=replicated --format {{.Name}}");
        twins.answers("web", "service ls --filter label=a=b --format {{.Name}}");
        twins.answers("", "service ls --filter mode=global --format {{.Name}}");
        twins.same("service inspect web --format '{{json .Spec}} {{json .Endpoint.Ports}}'")
                .expect();
        assertThat(twins.same("service inspect --pretty web").expect())
                .contains("Service Mode:\tReplicated", "Endpoint Mode:\tdnsrr");
        twins.awaitAnswer("hello\nhello", "service logs --raw --tail 1 web");
        assertThat(twins.skep().docker("service", "logs", "--tail", "1", "web").lines())
                .allMatch(line -> line.matches("web\\.[12]\\.[0-9a-z]{12}@opsk2 {4}\\| hello"));
        twins.refused("is in use by the following service: web", "secret rm one");
        twins.refused("is in use by the following service: web", "config rm two");

        twins.same("service update --quiet --env-add B=2 --label-add c=d --limit-memory 64m --update-delay 0s web")
                .expect();
        twins.answers(
                "2 {\"a\":\"b\",\"c\":\"d\"} {\"a\":\"b\"} completed update completed",
                "service inspect web --format '{{len .Spec.TaskTemplate.ContainerSpec.Env}} {{json .Spec.Labels}}"
                        + " {{json .PreviousSpec.Labels}} {{.UpdateStatus.State}} {{.UpdateStatus.Message}}'");
        twins.answers(
                "web.1 Running\nweb.1 Shutdown\nweb.2 Running\nweb.2 Shutdown",
                "service ps web --format '{{.Name}} {{.DesiredState}}'");
        twins.same("service rollback --quiet web").expect();
        twins.answers(
                "1 {\"a\":\"b\"} {\"a\":\"b\",\"c\":\"d\"} rollback_completed rollback completed",
                "service inspect web --format '{{len .Spec.TaskTemplate.ContainerSpec.Env}} {{json .Spec.Labels}}"
                        + " {{json .PreviousSpec.Labels}} {{.UpdateStatus.State}} {{.UpdateStatus.Message}}'");
        twins.same("service scale --detach web=3").expect();
        twins.awaitAnswer("3/3", "service ls --filter name=web --format {{.Replicas}}");
        twins.refused("repository/tag", "service update --detach --quiet --image BAD web");
        twins.refused("can't be used with dnsrr mode", "service update --detach --quiet --publish-add 80:80 web");
        twins.refused("expected one operator", "service update --detach --quiet --constraint-add bad web");
        assertThat(twins.events(created, "--filter type=service --filter service=web"))
                .containsExactly(
                        "service create map[name:web]",
                        "service update map[name:web updatestate.new:updating]",
                        "service update map[name:web updatestate.new:completed updatestate.old:updating]",
                        "service update map[name:web updatestate.new:rollback_started updatestate.old:completed]",
                        "service update map[name:web updatestate.new:rollback_completed"
                                + " updatestate.old:rollback_started]",
                        "service update map[name:web replicas.new:3 replicas.old:2]");
        twins.answers("web", "service rm web");
        twins.answers("", "service ls -q");
        twins.answers("one", "secret rm one");
        twins.answers("two", "config rm two");
    }

    @Test
    @Order(8)
    void globalServicesJobsAndPorts() {
        twins.answers("{id}", CREATE + "--mode global --endpoint-mode dnsrr" + SLEEPER);
        twins.awaitAnswer("subject global 1/1", "service ls --format '{{.Name}} {{.Mode}} {{.Replicas}}'");
        twins.refused("scale can only be used with replicated", "service scale subject=2");
        twins.answers("subject", "service rm subject");
        twins.answers("{id}", CREATE + "--mode replicated-job --replicas 2 bb:1 true");
        twins.awaitAnswer(
                "subject replicated job 0/2 (2/2 completed)",
                "service ls --format '{{.Name}} {{.Mode}} {{.Replicas}}'");
        twins.answers("subject", "service rm subject");
        twins.answers("{id}", CREATE + "--publish 8080:80 --constraint node.labels.x==y bb:1");
        twins.refused(
                "port '8080' is already in use by service 'subject'",
                CREATE.replace("subject", "other") + "--publish 8080:81 bb:1");
        twins.answers("subject *:8080->80/tcp", "service ls --format '{{.Name}} {{.Ports}}'");
        twins.awaitAnswer(
                "subject.1 Running \"no suitable node (1 node not available for new tasks; scheduling constraints not"
                        + " satisfied on 1 node)\"",
                "service ps --no-trunc --format '{{.Name}} {{.DesiredState}} {{.Error}}' subject");
        twins.answers("subject", "service rm subject");
    }

    @Test
    @Order(9)
    void engineAndEvents() {
        twins.answers(
                "1.51 1.24 linux amd64",
                "version --format" + " '{{with .Server}}{{.APIVersion}} {{.MinAPIVersion}} {{.Os}} {{.Arch}}{{end}}'");
        twins.answers(
                "active true 2 1 linux x86_64 {host}1",
                "info --format '{{with .Swarm}}{{.LocalNodeState}} {{.ControlAvailable}} {{.Nodes}} {{.Managers}}{{end}}"
                        + " {{.OSType}} {{.Architecture}} {{.Name}}'");
        assertThat(twins.skep().docker("info").expect()).contains("Is Manager: true", "Server Version: 0.");
        assertThat(twins.events(start, "--filter type=secret --filter type=config"))
                .contains("secret create map[name:one]", "config create map[name:two]", "secret remove map[name:one]");
        assertThat(twins.events(start, "--filter type=network --filter scope=swarm --filter event=remove"))
                .containsExactly("network remove map[name:plain]", "network remove map[name:special]");
        Instant changed = Instant.now();
        for (String availability : List.of("pause", "drain", "active")) {
            twins.answers("{host}2", "node update --availability " + availability + " {host}2");
        }
        assertThat(twins.events(changed, "--filter node={host}2"))
                .contains("node update map[availability.new:drain availability.old:pause name:{host}2]");
    }

    @Test
    @Order(10)
    void aWorkerLeavesAndIsRemoved() {
        assertThat(twins.same(2, "swarm leave").expect()).isEqualTo("Node left the swarm.");
        twins.awaitAnswer("Down", "node ls --filter role=worker --format {{.Status}}");
        twins.answers("{host}2", "node rm {host}2");
        twins.answers("{host}1", "node ls --format {{.Hostname}}");
        twins.refused("node {host}2 not found", "node inspect {host}2");
        twins.answers("Node left the swarm.", "swarm leave --force");
    }
}
