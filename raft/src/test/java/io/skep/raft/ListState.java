package io.skep.raft;

import com.google.protobuf.ByteString;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;

/** A state that is the list of all entries, in order. */
final class ListState implements ReplicatedState {
    private final List<ByteString> entries = new ArrayList<>();

    synchronized List<ByteString> entries() {
        return List.copyOf(entries);
    }

    synchronized boolean contains(String text) {
        return entries.contains(ByteString.copyFromUtf8(text));
    }

    @Override
    public synchronized void apply(long index, ByteString entry) {
        entries.add(entry);
    }

    @Override
    public Frozen freeze() {
        List<ByteString> frozen = entries();
        return out -> {
            DataOutputStream data = new DataOutputStream(out);
            data.writeInt(frozen.size());
            for (ByteString entry : frozen) {
                data.writeInt(entry.size());
                entry.writeTo(data);
            }
        };
    }

    @Override
    public void restore(InputStream in) throws IOException {
        DataInputStream data = new DataInputStream(in);
        List<ByteString> restored = new ArrayList<>();
        int count = data.readInt();
        for (int i = 0; i < count; i++) {
            restored.add(ByteString.copyFrom(data.readNBytes(data.readInt())));
        }
        synchronized (this) {
            entries.clear();
            entries.addAll(restored);
        }
    }
}
