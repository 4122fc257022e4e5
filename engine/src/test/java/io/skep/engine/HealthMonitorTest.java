package io.skep.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.skep.engine.record.Config;
import io.skep.engine.record.CreateContainer;
import io.skep.engine.record.ExecConfig;
import io.skep.engine.record.HealthConfig;
import io.skep.engine.record.HealthProbe;
import io.skep.engine.record.HealthRecord;
import io.skep.engine.record.HostConfig;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;

/** Health checks of real containers. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(120)
final class HealthMonitorTest {
    private TestEngine engine;

    @BeforeAll
    void startContainerd() throws Exception {
        engine = new TestEngine();
    }

    @AfterAll
    void stopContainerd() throws IOException {
        engine.close();
    }

    @AfterEach
    void removeContainers() throws InterruptedException {
        engine.clear();
    }

    private static HealthConfig.Builder test(String... test) {
        return HealthConfig.newBuilder()
                .addAllTest(List.of(test))
                .setInterval(Duration.ofMillis(50).toNanos())
                .setTimeout(Duration.ofSeconds(10).toNanos());
    }

    private Container start(HealthConfig.Builder health, String script) {
        CreateContainer asked = TestEngine.asked(
                HostConfig.getDefaultInstance(),
                Config.newBuilder()
                        .addAllCmd(List.of("sh", "-c", script + "; sleep 100000"))
                        .setHealthcheck(health)
                        .build());
        Container container = engine.containers().create("", asked, "");
        container.start();
        return container;
    }

    private void awaitHealth(String status) throws InterruptedException {
        engine.awaitEvent(event -> event.action().equals("health_status: " + status));
    }

    private static HealthRecord health(Container container) {
        return container.record().getState().getHealth();
    }

    private void exec(Container container, String... command) throws Exception {
        Exec exec = engine.life.execs.create(
                container, ExecConfig.newBuilder().addAllCmd(List.of(command)).build());
        exec.start(false, 0, 0);
        assertThat(exec.exit().get(60, TimeUnit.SECONDS)).isZero();
    }

    @Test
    void aContainerBecomesWellAndIllAndSoItIsTold() throws Exception {
        Container container =
                start(test("CMD-SHELL", "echo looked; test -e /well").setRetries(2), "touch /well");
        assertThat(health(container).getStatus()).isIn("starting", "healthy");
        awaitHealth("healthy");
        assertThat(health(container).getProbesList().getLast().getOutput()).isEqualTo("looked\n");
        exec(container, "rm", "/well");
        awaitHealth("unhealthy");
        assertThat(health(container).getFailingStreak()).isGreaterThanOrEqualTo(2);
        assertThat(health(container).getProbesList().getLast().getExitCode()).isEqualTo(1);
        exec(container, "touch", "/well");
        awaitHealth("healthy");
        while (health(container).getProbesCount() < 5) {
            Thread.onSpinWait();
        }
        HealthProbe last = health(container).getProbes(4);
        engine.awaitEvent(event -> !health(container).getProbes(4).equals(last));
        assertThat(health(container).getProbesCount()).isEqualTo(5);
    }

    @Test
    void aProbeThatDoesNotEndIsKilledAndFails() throws Exception {
        Container container = start(
                test("CMD", "sleep", "1000")
                        .setTimeout(Duration.ofMillis(300).toNanos())
                        .setRetries(1),
                "true");
        awaitHealth("unhealthy");
        assertThat(health(container).getProbesList().getLast())
                .extracting(HealthProbe::getExitCode, HealthProbe::getOutput)
                .containsExactly(-1, "Health check exceeded timeout (300ms)");
    }

    @Test
    void failuresWhileAContainerStartsDoNotCount() throws Exception {
        Container container = start(
                test("CMD", "test", "-e", "/well")
                        .setRetries(1)
                        .setStartPeriod(Duration.ofMinutes(5).toNanos())
                        .setStartInterval(Duration.ofMillis(30).toNanos()),
                "true");
        while (health(container).getProbesCount() < 3) {
            Thread.onSpinWait();
        }
        assertThat(health(container).getStatus()).isEqualTo("starting");
        assertThat(health(container).getFailingStreak()).isZero();
        exec(container, "touch", "/well");
        awaitHealth("healthy");
        exec(container, "rm", "/well");
        awaitHealth("unhealthy");
    }

    @Test
    void theNextEngineGoesOnAsking() throws Exception {
        Container container = start(test("CMD", "test", "-e", "/well"), "touch /well");
        awaitHealth("healthy");
        engine.startAgain();
        Container again = engine.containers().require(container.id());
        assertThat(health(again).getStatus()).isEqualTo("healthy");
        exec(again, "rm", "/well");
        awaitHealth("unhealthy");
    }

    @Test
    void aCheckThatIsWrongIsRefusedAndNoneIsNone() throws Exception {
        Container none = start(HealthConfig.newBuilder().addTest("NONE"), "true");
        assertThat(none.record().getState().hasHealth()).isFalse();
        assertThatThrownBy(() -> start(test("SHELL", "true"), "true"))
                .hasMessage("Unknown healthcheck type 'SHELL' (expected 'CMD')");
        assertThatThrownBy(() -> start(test("CMD", "true").setInterval(5), "true"))
                .hasMessage("Interval in Healthcheck cannot be less than 1ms");
        assertThatThrownBy(() -> start(test("CMD", "true").setRetries(-1), "true"))
                .hasMessage("Retries in Healthcheck cannot be negative");
    }
}
