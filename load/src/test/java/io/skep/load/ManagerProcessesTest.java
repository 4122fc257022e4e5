package io.skep.load;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ManagerProcessesTest {
    @Test
    void readsTimesWhateverTheNameOfTheProcess() {
        String stat = "42 (a (strange) name) S 1 42 42 0 -1 4194560 1 2 3 4 250 150 7 8 20 0 9 0 100 1 1";

        assertThat(ManagerProcesses.cpuSeconds(stat)).isEqualTo(4.0);
    }

    @Test
    void readsMemory() {
        assertThat(ManagerProcesses.kilobytes("VmRSS:\t 10 kB\nRssAnon:\t    2048 kB\n", "RssAnon:"))
                .isEqualTo(2048);
    }

    @Test
    void zerosAtTheEndOfALogAreNotUsed(@TempDir Path folder) throws Exception {
        Path log = folder.resolve("log");
        byte[] content = new byte[200_000];
        content[70_000] = 1;
        Files.write(log, content);
        Files.write(folder.resolve("empty"), new byte[100]);

        assertThat(ManagerProcesses.usedBytes(log, content.length)).isEqualTo(70_001);
        assertThat(new ManagerProcesses(List.of(), List.of(folder)).logBytes()).isEqualTo(70_001);
    }

    @Test
    void looksAtALivingProcess() throws Exception {
        ManagerProcesses self =
                new ManagerProcesses(List.of(ProcessHandle.current().pid()), List.of());

        assertThat(self.cpuSeconds().getFirst()).isPositive();
    }

    @Test
    void refusesWhatIsNotThere(@TempDir Path folder) {
        assertThatThrownBy(() -> new ManagerProcesses(List.of(99_999_999L), List.of()))
                .isInstanceOf(LoadException.class)
                .hasMessageContaining("99999999");
        assertThatThrownBy(() -> new ManagerProcesses(List.of(), List.of(folder.resolve("none"))))
                .isInstanceOf(LoadException.class)
                .hasMessageContaining("does not exist");
    }
}
