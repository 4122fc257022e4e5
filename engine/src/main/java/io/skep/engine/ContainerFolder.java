package io.skep.engine;

import io.skep.engine.record.ContainerRecord;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The records of all containers on disk, one folder each, named by the container's id.
 *
 * <p>A record is replaced as a whole. A folder without a record is what a creation left that broke off, and is deleted
 * when the records are read.
 */
final class ContainerFolder {
    private static final Logger LOG = LoggerFactory.getLogger(ContainerFolder.class);
    private static final String RECORD = "container.pb";

    private final Path folder;

    ContainerFolder(Path folder) throws IOException {
        this.folder = folder;
        Files.createDirectories(folder);
    }

    Path of(String id) {
        return folder.resolve(id);
    }

    /** Reads all records; one that is damaged is left where it is and said in the log. */
    List<ContainerRecord> load() throws IOException {
        List<ContainerRecord> records = new ArrayList<>();
        try (DirectoryStream<Path> each = Files.newDirectoryStream(folder)) {
            for (Path container : each) {
                Path file = container.resolve(RECORD);
                if (!Files.exists(file)) {
                    AtomicFiles.deleteTree(container);
                    continue;
                }
                try {
                    ContainerRecord record = ContainerRecord.parseFrom(Files.readAllBytes(file));
                    if (!record.getId().equals(container.getFileName().toString())) {
                        throw new IOException("it is the record of \"" + record.getId() + "\"");
                    }
                    records.add(record);
                } catch (IOException e) {
                    LOG.error(
                            "The record of a container, {}, cannot be read, the container is left out: {}",
                            file,
                            e.getMessage());
                }
            }
        }
        return records;
    }

    void save(ContainerRecord record) throws IOException {
        Path container = of(record.getId());
        Files.createDirectories(container);
        AtomicFiles.write(container.resolve(RECORD), record.toByteArray());
    }

    /** Deletes the record first, so that a container that is half deleted does not come back. */
    void delete(String id) throws IOException {
        Files.deleteIfExists(of(id).resolve(RECORD));
        AtomicFiles.deleteTree(of(id));
    }
}
