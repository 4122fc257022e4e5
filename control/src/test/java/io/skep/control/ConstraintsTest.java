package io.skep.control;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.skep.wire.Node;
import io.skep.wire.NodeRole;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ConstraintsTest {
    private static final Node NODE = node();

    @ParameterizedTest
    @CsvSource({
        "node.id==N1, true",
        "node.id!=n1, false",
        "node.hostname == Board-7, true",
        "NODE.HOSTNAME==board-8, false",
        "node.role==worker, true",
        "node.role==manager, false",
        "node.role!=manager, true",
        "node.ip==10.1.2.3, true",
        "node.ip==10.1.2.4, false",
        "node.ip!=10.1.2.4, true",
        "node.ip==10.1.0.0/16, true",
        "node.ip!=10.1.0.0/16, false",
        "node.ip==10.2.0.0/15, false",
        "node.ip==10.1.2.2/31, true",
        "node.ip==10.1.0.0/33, false",
        "node.ip!=nonsense, false",
        "node.ip==fd00::/8, false",
        "node.platform.os==LINUX, true",
        "node.platform.arch==x86_64, true",
        "node.platform.arch==amd64, false",
        "node.labels.Zone==a, true",
        "node.labels.zone==a, false",
        "node.labels.zone!=a, true",
        "Node.Labels.Zone!=a, false",
        "engine.labels.disk==ssd, true",
        "node.labels==a, false",
        "something.else!=a, false",
    })
    void comparesOnePropertyOfTheNode(String expression, boolean matches) {
        assertThat(Constraints.match(Constraints.parse(List.of(expression)), NODE))
                .isEqualTo(matches);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "node.id | constraint expected one operator from ==, !=",
                "node.id=x | constraint expected one operator from ==, !=",
                "1node==x | key '1node' is invalid",
                "no de==x | key 'no de' is invalid",
                "==x | key '' is invalid",
                "node.id== | value '' is invalid",
                "node.id==a,b | value 'a,b' is invalid",
                "node.id!=a==b | key 'node.id!=a' is invalid",
            })
    void refusesWhatItDoesNotUnderstand(String expression, String message) {
        assertThatThrownBy(() -> Constraints.parse(List.of(expression)))
                .isInstanceOfSatisfying(
                        CommandException.class,
                        refusal -> assertThat(refusal.code()).isEqualTo(CommandException.Code.UNKNOWN))
                .hasMessage(message);
    }

    private static Node node() {
        Node.Builder node = Node.newBuilder().setId("n1").setRole(NodeRole.WORKER);
        node.getSpecBuilder().getAnnotationsBuilder().putLabels("Zone", "a");
        node.getDescriptionBuilder().setHostname("board-7");
        node.getDescriptionBuilder().getPlatformBuilder().setOs("linux").setArchitecture("x86_64");
        node.getDescriptionBuilder().getEngineBuilder().putLabels("disk", "ssd");
        node.getStatusBuilder().setAddr("10.1.2.3");
        return node.build();
    }
}
