package io.skep.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class TemplateTest {
    private static final Map<String, Object> DATA = Map.of(
            "Node", Map.of("Hostname", "bee", "Platform", Map.of("OS", "linux")),
            "Service", Map.of("Name", "web", "Labels", Map.of("tier", "front", "a.b", "dotted")),
            "Task", Map.of("Slot", "3", "ID", "abcdefgh"));

    private static String expand(String text) {
        return Template.expand(text, DATA, Map.of("env", arguments -> "<" + arguments.getFirst() + ">"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '\'',
            value = {
                "plain|plain",
                "{{.Node.Hostname}}-{{.Task.Slot}}|bee-3",
                "{{ .Node.Platform.OS }}|linux",
                "'a  {{- \" x \" -}}  b'|'a x b'",
                "{{index .Service.Labels \"a.b\"}}|dotted",
                "{{.Service.Labels.tier}}|front",
                "[{{index .Service.Labels \"none\"}}]|[]",
                "{{join \"-\" .Service.Name .Task.Slot}}|web-3",
                "{{if eq .Task.Slot \"3\"}}three{{else}}other{{end}}|three",
                "{{if eq .Task.Slot \"4\"}}four{{else if eq .Task.Slot \"3\"}}three{{else}}other{{end}}|three",
                "{{if not (eq .Task.Slot \"3\")}}a{{if true}}b{{end}}{{else}}c{{if false}}d{{end}}e{{end}}|ce",
                "{{if and true (ne .Node.Hostname \"x\")}}y{{end}}|y",
                "{{if or \"\" false}}y{{else}}n{{end}}|n",
                "{{printf \"%s:%05d %q\" .Node.Hostname 42 \"a\"}}|'bee:00042 \"a\"'",
                "{{printf \"%.4s\" .Task.ID}}|abcd",
                "{{slice .Task.ID 2 4}}|cd",
                "'{{.Node.Hostname | printf \"%s.local\"}}'|bee.local",
                "{{env \"HOME\"}}|<HOME>",
                "{{/* nothing */}}x|x",
                "{{print \"}}\"}}|}}",
                "{{len .Node.Hostname}}|3",
            })
    void fillsIn(String text, String expected) {
        assertThat(expand(text)).isEqualTo(expected);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '\'',
            value = {
                "{{.Node.Nmae}}|can't evaluate field Nmae",
                "{{.Service.Labels.none}}|can't evaluate field none",
                "{{nothing 1}}|function \"nothing\" not defined",
                "{{range .Service.Labels}}x{{end}}|{{range}} is not supported",
                "{{.Node.Hostname|unclosed action",
                "{{if true}}x|{{if}} without {{end}}",
                "x{{end}}|unexpected {{end}}",
                "{{.Node.Hostname .Task.Slot}}|unexpected text",
                "{{$x := 1}}|unexpected \"$\"",
                "{{printf \"%x\" 1}}|printf: %x is not supported",
                "{{}}|missing value",
                "{{if}}x{{end}}|missing value",
                "{{(.Node.Hostname}}|unclosed left paren",
                "{{index}}|wrong number of args",
                "{{.}}|name a field",
                "{{slice .Task.ID 7 99}}|out of range",
            })
    void refusesByName(String text, String reason) {
        assertThatThrownBy(() -> expand(text))
                .isInstanceOf(EngineException.class)
                .hasMessageContaining(reason);
    }

    @Test
    void endsAtTooDeepNesting() {
        String deep = "{{if true}}".repeat(5000) + "x" + "{{end}}".repeat(5000);
        assertThatThrownBy(() -> expand(deep)).hasMessageContaining("within each other");
        assertThatThrownBy(() -> expand("{{" + "(".repeat(5000) + "1" + ")".repeat(5000) + "}}"))
                .isInstanceOf(EngineException.class);
    }
}
