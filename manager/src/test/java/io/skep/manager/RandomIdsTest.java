package io.skep.manager;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

class RandomIdsTest {
    @Test
    void idsAreTwentyFiveCharactersOfBase36AndDiffer() {
        RandomIds ids = new RandomIds();
        Set<String> seen = new HashSet<>();
        for (int i = 0; i < 1000; i++) {
            String id = ids.nextId();
            assertThat(id).matches("[0-9a-z]{25}");
            assertThat(seen.add(id)).isTrue();
        }
    }
}
