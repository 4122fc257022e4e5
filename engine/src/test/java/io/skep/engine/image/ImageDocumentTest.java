package io.skep.engine.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class ImageDocumentTest {
    private static final String CONTENT =
            "{'mediaType':'application/vnd.oci.image.%s','digest':'sha256:" + "ab".repeat(32) + "','size':3}";
    private static final String MANIFEST = "{'schemaVersion':2,'config':" + CONTENT.formatted("config.v1+json")
            + ",'layers':[" + CONTENT.formatted("layer.v1.tar+gzip") + "]}";

    private static ImageDocument parse(String mediaType, String text) throws IOException {
        return ImageDocument.parse(mediaType, text.replace('\'', '"').getBytes(StandardCharsets.UTF_8));
    }

    @Test
    void aManifestIsReadAndWritten() throws IOException {
        ImageDocument document = parse(MediaTypes.OCI_MANIFEST, MANIFEST);
        assertThat(document.children()).hasSize(2);
        byte[] written = ((ImageDocument.Manifest) document).bytes();
        assertThat(ImageDocument.parse(MediaTypes.OCI_MANIFEST, written)).isEqualTo(document);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{}|schema version 0",
                "{\"schemaVersion\":1}|schema version 1",
                "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\"}|calls itself",
                "{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}|both an index and an image",
                "{\"schemaVersion\":2}|names no configuration",
                "{\"schemaVersion\":2,\"config\":{\"digest\":\"sha512:1\"}}|is not of the kind sha256",
                "{\"schemaVersion\":2,\"config\":7}|config is not an object",
                "[]|not an object",
                "nonsense|invalid JSON"
            })
    void whatCannotBeUnderstoodIsRefused(String text, String reason) {
        assertThatThrownBy(() -> ImageDocument.parse(MediaTypes.OCI_MANIFEST, text.getBytes(StandardCharsets.UTF_8)))
                .isInstanceOf(IOException.class)
                .hasMessageContaining(reason);
    }

    @Test
    void noBytesDoMoreThanBeRefused() {
        byte[] sample = MANIFEST.replace('\'', '"').getBytes(StandardCharsets.UTF_8);
        Random random = new Random(7);
        for (int i = 0; i < 5000; i++) {
            byte[] changed = sample.clone();
            for (int j = 0; j <= i % 5; j++) {
                changed[random.nextInt(changed.length)] = (byte) random.nextInt(256);
            }
            try {
                assertThat(ImageDocument.parse(MediaTypes.OCI_MANIFEST, changed).children())
                        .isNotNull();
            } catch (IOException e) {
                assertThat(e.getMessage()).doesNotEndWith(": null");
            }
        }
    }
}
