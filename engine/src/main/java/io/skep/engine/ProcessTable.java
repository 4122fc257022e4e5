package io.skep.engine;

import io.skep.engine.record.ProcessList;
import io.skep.engine.record.StringRow;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;

/** The processes of a container as this machine's ps(1) shows them. */
final class ProcessTable {
    private static final int OUTPUT_BYTES_MAX = 16 << 20;

    private ProcessTable() {}

    /**
     * Runs ps.
     *
     * @param arguments of ps; it must show the column PID
     * @param pids of the container
     */
    static ProcessList of(String arguments, Set<Integer> pids) throws InterruptedException {
        List<String> command = new ArrayList<>(List.of("ps"));
        command.addAll(Arrays.asList((arguments.isBlank() ? "-ef" : arguments.strip()).split("\\s+", -1)));
        try {
            Process process =
                    new ProcessBuilder(command).redirectErrorStream(true).start();
            process.getOutputStream().close();
            String output = new String(process.getInputStream().readNBytes(OUTPUT_BYTES_MAX), StandardCharsets.UTF_8);
            process.destroy();
            if (process.waitFor() == 1 && output.isBlank()) {
                throw EngineException.internal("ps shows nothing", new IOException("exit status 1"));
            }
            return parse(output, pids);
        } catch (IOException e) {
            throw EngineException.internal(
                    "the processes of a container are shown by the program ps, which cannot be run here: "
                            + e.getMessage(),
                    e);
        }
    }

    static ProcessList parse(String output, Set<Integer> pids) {
        List<String> lines = output.lines().toList();
        List<String> titles =
                lines.isEmpty() ? List.of() : List.of(lines.getFirst().strip().split("\\s+", -1));
        int column = titles.indexOf("PID");
        if (column < 0) {
            throw EngineException.invalid("Couldn't find PID field in ps output: " + output.strip());
        }
        ProcessList.Builder list = ProcessList.newBuilder().addAllTitles(titles);
        for (String line : lines.subList(1, lines.size())) {
            // The last column, the command, may hold spaces.
            String[] fields = line.strip().split("\\s+", titles.size());
            if (fields.length > column
                    && fields[column].matches("\\d{1,9}")
                    && pids.contains(Integer.parseInt(fields[column]))) {
                list.addProcesses(StringRow.newBuilder().addAllValues(Arrays.asList(fields)));
            }
        }
        return list.build();
    }
}
