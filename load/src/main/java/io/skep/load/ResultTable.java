package io.skep.load;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Results side by side: a line for each figure, a column for each run, in Markdown. Lines without a figure are left
 * out.
 */
final class ResultTable {
    /**
     * A figure.
     *
     * @param path names from the outermost object to the number
     * @param scale by which the number is multiplied
     */
    private record Row(String title, List<String> path, double scale, int decimals) {}

    private static final double KILO = 1.0 / 1000;

    private static final List<Row> ROWS = List.of(
            row("first joins/s", 1, 0, "joinFirst", "perSecond"),
            row("CPU per first join, ms", 1, 2, "joinFirst", "cpuMillisEach"),
            row("joins/s", 1, 0, "join", "perSecond"),
            row("CPU per join, ms", 1, 2, "join", "cpuMillisEach"),
            row("anonymous memory per worker, KB", KILO, 1, "anonymousBytesPerWorker"),
            row("heap per worker, KB", KILO, 1, "heapBytesPerWorker"),
            row("idle with all workers, % of a core", 1, 2, "idleCpuPercent"),
            row("tasks/s until all run", 1, 0, "create", "perSecond"),
            row("CPU per task, ms", 1, 3, "create", "cpuMillisEach"),
            row("create to assigned p50, ms", 1, 0, "createToAssigned", "p50Millis"),
            row("create to assigned p99, ms", 1, 0, "createToAssigned", "p99Millis"),
            row("create to running p50, ms", 1, 0, "createToRunning", "p50Millis"),
            row("create to running p99, ms", 1, 0, "createToRunning", "p99Millis"),
            row("reported states per task", 1, 2, "reportsPerTask"),
            row("calls to report per task", 1, 2, "reportCallsPerTask"),
            row("anonymous memory per task, KB", KILO, 2, "anonymousBytesPerTask"),
            row("heap per task, KB", KILO, 2, "heapBytesPerTask"),
            row("log per task, bytes", 1, 0, "logBytesPerTask"),
            row("idle with all tasks, % of a core", 1, 2, "idleRunningCpuPercent"),
            row("scale up, tasks/s", 1, 0, "scaleUp", "perSecond"),
            row("scale down, tasks/s", 1, 0, "scaleDown", "perSecond"),
            row("update, tasks/s", 1, 0, "update", "perSecond"),
            row("CPU per updated task, ms", 1, 3, "update", "cpuMillisEach"),
            row("removed tasks/s", 1, 0, "remove", "perSecond"),
            row("CPU per removed task, ms", 1, 3, "remove", "cpuMillisEach"),
            row("service create p50, ms", 1, 1, "api", "service create", "p50Millis"),
            row("service create p99, ms", 1, 1, "api", "service create", "p99Millis"),
            row("service list p50, ms", 1, 1, "api", "service by name", "p50Millis"),
            row("service list p99, ms", 1, 1, "api", "service by name", "p99Millis"),
            row("sessions lost", 1, 0, "sessionsLost"),
            row("anonymous memory before, MB", KILO * KILO, 0, "memoryBefore", "anonymousBytes"),
            row("anonymous memory with all workers, MB", KILO * KILO, 0, "memoryJoined", "anonymousBytes"),
            row("anonymous memory with all tasks, MB", KILO * KILO, 0, "memoryRunning", "anonymousBytes"),
            row("anonymous memory after removal, MB", KILO * KILO, 0, "memoryRemoved", "anonymousBytes"));

    private ResultTable() {}

    private static Row row(String title, double scale, int decimals, String... path) {
        return new Row(title, List.of(path), scale, decimals);
    }

    static String of(List<Map<String, Object>> results) {
        StringBuilder table = new StringBuilder("| |");
        for (Map<String, Object> result : results) {
            Object label = result.get("label");
            table.append(String.format(
                    Locale.ROOT,
                    " %s %s × %s |",
                    label == null ? "" : label,
                    whole(result.get("agents")),
                    whole(result.get("tasks"))));
        }
        table.append("\n|---|").append("---|".repeat(results.size())).append('\n');
        for (Row row : ROWS) {
            List<String> cells = new ArrayList<>();
            boolean any = false;
            for (Map<String, Object> result : results) {
                String cell = cell(row, find(result, row.path));
                any |= !cell.isEmpty();
                cells.add(cell.isEmpty() ? "–" : cell);
            }
            if (any) {
                table.append("| ")
                        .append(row.title)
                        .append(" | ")
                        .append(String.join(" | ", cells))
                        .append(" |\n");
            }
        }
        return table.toString();
    }

    private static @Nullable Object find(Map<String, Object> result, List<String> path) {
        Object at = result;
        for (String name : path) {
            at = at instanceof Map<?, ?> map ? map.get(name) : null;
        }
        return at;
    }

    private static String cell(Row row, @Nullable Object value) {
        return switch (value) {
            case Number number ->
                String.format(Locale.ROOT, "%,." + row.decimals + "f", number.doubleValue() * row.scale);
            case List<?> several ->
                String.join(", ", several.stream().map(each -> cell(row, each)).toList());
            case null, default -> "";
        };
    }

    private static String whole(@Nullable Object value) {
        return value instanceof Number number ? String.format(Locale.ROOT, "%,d", number.longValue()) : "?";
    }
}
