package io.skep.agent;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.ByteString;
import io.grpc.Status;
import io.skep.certs.NodeCredentialStore;
import io.skep.certs.NodeCredentials;
import io.skep.certs.TrustRoot;
import io.skep.wire.Config;
import io.skep.wire.NodeSpec;
import io.skep.wire.Peer;
import io.skep.wire.Secret;
import io.skep.wire.SessionMessage;
import io.skep.wire.Task;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Clock;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The agent as a node of a swarm that a real Docker Engine manages. */
@Timeout(value = 3, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class AgentOnStockManagerTest {
    private static final Clock CLOCK = Clock.systemUTC();
    private static final String VERSION = "0.1.0-test";
    private static final String REASON = "this node runs no containers";

    private static StockManager manager;

    private final Events events = new Events();

    @TempDir
    Path folder;

    @BeforeAll
    static void startManager() throws Exception {
        manager = new StockManager();
    }

    @AfterAll
    static void stopManager() throws Exception {
        manager.close();
    }

    @Test
    void joinsAndIsShownAsReadyWithWhatItSaysOfItself() throws Exception {
        LiveCredentials credentials = join();
        String id = credentials.current().identity().nodeId();
        try (Agent agent = start(credentials)) {
            events.next("registered");
            assertThat(inspect(id, "{{.Status.State}} {{.Spec.Availability}} {{.Description.Engine.EngineVersion}}"))
                    .isEqualTo("ready drain " + VERSION);
            assertThat(inspect(id, "{{index .Description.Engine.Labels \"" + HostDescription.LABEL_VERSION + "\"}}"))
                    .isEqualTo(VERSION);
            assertThat(inspect(id, "{{.Description.Platform.OS}}")).isEqualTo("linux");
            SessionMessage message = events.message(each -> true);
            assertThat(message.getManagersList())
                    .singleElement()
                    .satisfies(each -> assertThat(each.getPeer().getAddr()).isEqualTo(manager.address()));
            assertThat(message.getNetworkBootstrapKeysCount()).isEqualTo(6);
            manager.docker("node", "rm", "--force", id);
        }
    }

    @Test
    void followsChangesOfItsNode() throws Exception {
        LiveCredentials credentials = join();
        String id = credentials.current().identity().nodeId();
        try (Agent agent = start(credentials)) {
            events.next("registered");
            manager.docker("node", "update", "--label-add", "colour=blue", id);
            SessionMessage message = events.message(each ->
                    each.getNode().getSpec().getAnnotations().getLabelsMap().containsKey("colour"));
            assertThat(message.getNode().getSpec().getAnnotations().getLabelsMap())
                    .containsEntry("colour", "blue");
            manager.docker("node", "rm", "--force", id);
        }
    }

    @Test
    void rejectsTasksAndSaysWhy() throws Exception {
        LiveCredentials credentials = join();
        String id = credentials.current().identity().nodeId();
        try (Agent agent = start(credentials)) {
            events.next("registered");
            manager.docker("node", "update", "--availability", "active", id);
            manager.docker(
                    "service",
                    "create",
                    "--detach",
                    "--no-resolve-image",
                    "--restart-condition",
                    "none",
                    "--constraint",
                    "node.id==" + id,
                    "--name",
                    "refused",
                    "bb:latest");
            assertThat(awaitRejection("refused")).contains(REASON);
            manager.docker("service", "rm", "refused");
            manager.docker("node", "rm", "--force", id);
        }
    }

    @Test
    void runsTasksAndGoesOnWithThemAfterARestart() throws Exception {
        LiveCredentials credentials = join();
        String id = credentials.current().identity().nodeId();
        Pretence pretence = new Pretence();
        Path folderOfTasks = folder.resolve("tasks");
        try (FileTaskStore store = new FileTaskStore(folderOfTasks);
                Agent agent = start(credentials, new TaskManager(pretence, store, CLOCK))) {
            events.next("registered");
            manager.docker("node", "update", "--availability", "active", id);
            manager.docker("secret", "create", "word", "/proc/sys/kernel/ostype");
            manager.docker(
                    "service",
                    "create",
                    "--detach",
                    "--no-resolve-image",
                    "--constraint",
                    "node.id==" + id,
                    "--secret",
                    "word",
                    "--replicas",
                    "3",
                    "--name",
                    "pretended",
                    "bb:latest");
            awaitReplicas("pretended", "3/3");
        }
        assertThat(pretence.calls.stream().filter("start"::equals)).hasSize(3);
        assertThat(pretence.secrets).containsExactly("word");
        pretence.calls.clear();
        try (FileTaskStore store = new FileTaskStore(folderOfTasks);
                Agent agent = start(credentials, new TaskManager(pretence, store, CLOCK))) {
            events.next("registered");
            assertThat(pretence.calls).containsExactly("await", "await", "await");
            manager.docker("service", "scale", "--detach", "pretended=4");
            awaitReplicas("pretended", "4/4");
            assertThat(pretence.calls.stream().filter("start"::equals)).hasSize(1);
            manager.docker("service", "rm", "pretended");
            for (int i = 0; i < 4; i++) {
                assertThat(pretence.removed.poll(1, TimeUnit.MINUTES)).isNotNull();
            }
            manager.docker("secret", "rm", "word");
            manager.docker("node", "rm", "--force", id);
        }
        try (FileTaskStore store = new FileTaskStore(folderOfTasks)) {
            assertThat(store.load()).isEmpty();
        }
    }

    @Test
    void readersOfLogsAreNotKeptWaiting() throws Exception {
        LiveCredentials credentials = join();
        String id = credentials.current().identity().nodeId();
        try (Agent agent = start(credentials)) {
            events.next("registered");
            manager.docker("node", "update", "--availability", "active", id);
            manager.docker(
                    "service",
                    "create",
                    "--detach",
                    "--no-resolve-image",
                    "--restart-condition",
                    "none",
                    "--constraint",
                    "node.id==" + id,
                    "--name",
                    "silent",
                    "bb:latest");
            awaitRejection("silent");
            assertThat(manager.docker("service", "logs", "silent")).isEmpty();
            manager.docker("service", "rm", "silent");
            manager.docker("node", "rm", "--force", id);
        }
    }

    @Test
    void renewsItsCertificateWhenTheManagerRotatesTheRoot() throws Exception {
        LiveCredentials credentials = join();
        NodeCredentials before = credentials.current();
        try (Agent agent = start(credentials)) {
            events.next("registered");
            manager.docker("swarm", "ca", "--rotate", "--detach");
            events.message(each -> !each.getRootCA().equals(before.root().pem()));
            assertThat(credentials.current().leaf().getSerialNumber())
                    .isNotEqualTo(before.leaf().getSerialNumber());
            String id = before.identity().nodeId();
            while (!credentials.current().root().equals(rootOfSwarm())) {
                events.message(each -> true);
            }
            assertThat(inspect(id, "{{.Status.State}}")).isEqualTo("ready");
            assertThat(new NodeCredentialStore(folder).load(null))
                    .isInstanceOfSatisfying(
                            NodeCredentialStore.Stored.Ready.class,
                            stored -> assertThat(stored.credentials().root())
                                    .isEqualTo(credentials.current().root()));
            manager.docker("node", "rm", "--force", id);
        }
    }

    @Test
    void comesBackAfterTheManagerWasKilled() throws Exception {
        LiveCredentials credentials = join();
        String id = credentials.current().identity().nodeId();
        try (Agent agent = start(credentials)) {
            events.next("registered");
            manager.restart();
            events.next("disconnected");
            events.next("registered");
            assertThat(inspect(id, "{{.Status.State}}")).isEqualTo("ready");
            manager.docker("node", "rm", "--force", id);
        }
    }

    @Test
    void noticesThatDockerEnginesTakeNoManagersOfSkep() throws Exception {
        NodeCredentials credentials = enrolment()
                .enrol(manager.address(), manager.managerToken(), NodeSpec.Availability.ACTIVE)
                .credentials();
        assertThat(credentials.identity().isManager()).isTrue();
        assertThat(enrolment().takesManagers(manager.address(), credentials)).isFalse();
        // A node that never shows a certificate of the new root would hold up another test's rotation.
        manager.docker("node", "rm", "--force", credentials.identity().nodeId());
    }

    @Test
    void aWrongSecretIsRefusedInTheWordsOfTheManager() throws Exception {
        String token = manager.workerToken();
        String wrong = token.substring(0, token.length() - 3) + "000";
        assertThatThrownBy(() -> enrolment().enrol(manager.address(), wrong, NodeSpec.Availability.ACTIVE))
                .isInstanceOfSatisfying(EnrolmentException.class, refused -> {
                    assertThat(refused.code()).contains(Status.Code.INVALID_ARGUMENT);
                    assertThat(refused).hasMessage("A valid join token is necessary to join this cluster");
                });
    }

    @Test
    void aManagerOfAnotherClusterIsNotTrusted() throws Exception {
        String token = manager.workerToken();
        String[] parts = token.split("-", -1);
        String wrong = "SWMTKN-1-" + "0".repeat(50) + "-" + parts[3];
        assertThatThrownBy(() -> enrolment().enrol(manager.address(), wrong, NodeSpec.Availability.ACTIVE))
                .isInstanceOf(EnrolmentException.class)
                .hasMessage("remote CA does not match fingerprint. Expected: " + "0".repeat(64));
    }

    private static TrustRoot rootOfSwarm() throws Exception {
        return TrustRoot.parse(ByteString.copyFromUtf8(manager.docker("swarm", "ca") + "\n"));
    }

    /** Asks until a task of the service is rejected; each question takes the CLI a while. */
    private static String awaitRejection(String service) throws Exception {
        String tasks;
        do {
            tasks = manager.docker("service", "ps", "--no-trunc", "--format", "{{.CurrentState}}|{{.Error}}", service);
        } while (!tasks.contains("Rejected"));
        return tasks;
    }

    /** Asks until that many tasks are said to run. */
    private static void awaitReplicas(String service, String replicas) throws Exception {
        String shown;
        do {
            shown = manager.docker("service", "ls", "--filter", "name=" + service, "--format", "{{.Replicas}}");
        } while (!shown.equals(replicas));
    }

    private static String inspect(String id, String format) throws Exception {
        return manager.docker("node", "inspect", "--format", format, id);
    }

    private static Enrolment enrolment() {
        return new Enrolment(VERSION, CLOCK, new Random(1));
    }

    private LiveCredentials join() throws Exception {
        NodeCredentials credentials = enrolment()
                .enrol(manager.address(), manager.workerToken(), NodeSpec.Availability.DRAIN)
                .credentials();
        NodeCredentialStore store = new NodeCredentialStore(folder);
        store.save(credentials, null);
        return new LiveCredentials(store, credentials, null, CLOCK);
    }

    private Agent start(LiveCredentials credentials) {
        return start(credentials, new NoExecutor(REASON, CLOCK));
    }

    private Agent start(LiveCredentials credentials, TaskRunner runner) {
        KnownManagers managers = new KnownManagers(new SecureRandom());
        managers.observe(Peer.newBuilder().setAddr(manager.address()).build(), KnownManagers.WEIGHT_GOOD);
        return new Agent(
                VERSION,
                credentials,
                managers,
                new NoManager(),
                new HostDescription(VERSION, Map.of(HostDescription.LABEL_VERSION, VERSION), List.of(), List.of()),
                runner,
                events,
                CLOCK,
                new SecureRandom());
    }

    private static final class NoManager implements OwnManager {
        @Override
        public @Nullable Peer peer() {
            return null;
        }

        @Override
        public List<Peer> others() {
            return List.of();
        }
    }

    /** Runs nothing, and says that it does. */
    private static final class Pretence extends SilentExecutor {
        private final List<String> calls = new CopyOnWriteArrayList<>();
        private final List<String> secrets = new CopyOnWriteArrayList<>();
        private final BlockingQueue<String> removed = new LinkedBlockingQueue<>();

        @Override
        public void provide(List<Secret> nowSecrets, List<Config> nowConfigs) {
            secrets.clear();
            nowSecrets.forEach(
                    secret -> secrets.add(secret.getSpec().getAnnotations().getName()));
        }

        @Override
        public Controller controller(Task task) {
            return new Controller() {
                @Override
                public Operation prepare() {
                    return done("prepare");
                }

                @Override
                public Operation start() {
                    return done("start");
                }

                @Override
                public Operation await() {
                    calls.add("await");
                    CompletableFuture<Void> ended = new CompletableFuture<>();
                    return Operation.of(ended, () -> ended.cancel(false));
                }

                @Override
                public Operation shutdown() {
                    return done("shutdown");
                }

                @Override
                public Operation terminate() {
                    return done("terminate");
                }

                @Override
                public Operation remove() {
                    removed.add(task.getId());
                    return done("remove");
                }

                private Operation done(String call) {
                    calls.add(call);
                    return Operation.done();
                }
            };
        }
    }

    /** What the agent told, to be waited for. */
    private static final class Events implements AgentListener {
        private final BlockingQueue<String> names = new LinkedBlockingQueue<>();
        private final BlockingQueue<SessionMessage> messages = new LinkedBlockingQueue<>();

        @Override
        public void registered() {
            names.add("registered");
        }

        @Override
        public void message(SessionMessage message) {
            messages.add(message);
        }

        @Override
        public void disconnected(boolean registered, Status status) {
            names.add("disconnected");
        }

        void next(String name) throws InterruptedException {
            String next;
            do {
                next = names.poll(Duration.ofMinutes(1).toMillis(), TimeUnit.MILLISECONDS);
                assertThat(next).as("waiting for " + name).isNotNull();
            } while (!name.equals(next));
        }

        SessionMessage message(Predicate<SessionMessage> wanted) throws InterruptedException {
            while (true) {
                SessionMessage next = messages.poll(Duration.ofMinutes(1).toMillis(), TimeUnit.MILLISECONDS);
                assertThat(next).as("a message").isNotNull();
                if (next != null && wanted.test(next)) {
                    return next;
                }
            }
        }
    }
}
