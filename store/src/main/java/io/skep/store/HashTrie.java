package io.skep.store;

import java.util.AbstractCollection;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Collection;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * An immutable map from strings, of which each change makes another that shares almost all of its parts.
 *
 * <p>It is a compressed hash array mapped prefix tree (CHAMP, Steindorfer and Vinju 2015). Each level of the tree looks
 * at five bits of the hash of a key. A node has up to 32 places; a place is empty, holds one key with its value, or a
 * node of the next level. Two bit maps say which, and all that is there lies in one array without gaps: keys and values
 * from the front, nodes from the back. A million entries are four to five levels deep, cost about 30 bytes each beside
 * key and value, and a change copies one node of each level.
 *
 * <p>Invariants: a node below the root holds at least two entries, itself or below it, so the shape follows from the
 * entries alone. Keys whose hashes are equal in all bits share a node below the last level, which is a plain list.
 *
 * @param <V> what the keys lead to; never null
 */
final class HashTrie<V> {
    private static final int BITS = 5;
    private static final int PLACES_MASK = (1 << BITS) - 1;

    /** From this shift on no bits are left: such a node is a list of entries. */
    private static final int SHIFT_OF_LISTS = 35;

    private static final HashTrie<Object> EMPTY = new HashTrie<>(new Node(0, 0, new Object[0]), 0);

    /** One level. */
    private static final class Node {
        /** The places that hold an entry; not used in lists. */
        final int entries;
        /** The places that hold a node. */
        final int nodes;
        /** Entries, each a key and a value, in the order of their places, then nodes in the opposite order. */
        final Object[] content;

        Node(int entries, int nodes, Object[] content) {
            this.entries = entries;
            this.nodes = nodes;
            this.content = content;
        }

        int indexOfEntry(int bit) {
            return 2 * Integer.bitCount(entries & (bit - 1));
        }

        int indexOfNode(int bit) {
            return content.length - 1 - Integer.bitCount(nodes & (bit - 1));
        }

        Node nodeAt(int bit) {
            return (Node) content[indexOfNode(bit)];
        }

        boolean isSingleEntry() {
            return nodes == 0 && content.length == 2;
        }
    }

    private final Node root;
    private final int size;

    private HashTrie(Node root, int size) {
        this.root = root;
        this.size = size;
    }

    @SuppressWarnings("unchecked")
    static <V> HashTrie<V> empty() {
        return (HashTrie<V>) EMPTY;
    }

    int size() {
        return size;
    }

    @SuppressWarnings("unchecked")
    @Nullable
    V get(String key) {
        int hash = spread(key);
        Node node = root;
        for (int shift = 0; shift < SHIFT_OF_LISTS; shift += BITS) {
            int bit = bit(hash, shift);
            if ((node.entries & bit) != 0) {
                int at = node.indexOfEntry(bit);
                return key.equals(node.content[at]) ? (V) node.content[at + 1] : null;
            }
            if ((node.nodes & bit) == 0) {
                return null;
            }
            node = node.nodeAt(bit);
        }
        int at = indexInList(node, key);
        return at < 0 ? null : (V) node.content[at + 1];
    }

    /** Returns a map in which the key leads to the value. */
    HashTrie<V> with(String key, V value) {
        Node changed = put(root, 0, spread(key), key, value);
        // Only an entry more makes the content of some node longer, or another node.
        return new HashTrie<>(changed, get(key) == null ? size + 1 : size);
    }

    /** Returns a map without the key, which is this one if it was not there. */
    HashTrie<V> without(String key) {
        Node changed = remove(root, 0, spread(key), key);
        return changed == root ? this : new HashTrie<>(changed, size - 1);
    }

    /** Returns the values, in an order that follows from the keys but for those with equal hashes. */
    Collection<V> values() {
        return new Values();
    }

    private static Node put(Node node, int shift, int hash, String key, Object value) {
        if (shift >= SHIFT_OF_LISTS) {
            int at = indexInList(node, key);
            return new Node(
                    0,
                    0,
                    at < 0
                            ? inserted(node.content, node.content.length, key, value)
                            : replaced(node.content, at + 1, value));
        }
        int bit = bit(hash, shift);
        if ((node.nodes & bit) != 0) {
            int at = node.indexOfNode(bit);
            Node below = put((Node) node.content[at], shift + BITS, hash, key, value);
            return new Node(node.entries, node.nodes, replaced(node.content, at, below));
        }
        int at = node.indexOfEntry(bit);
        if ((node.entries & bit) == 0) {
            return new Node(node.entries | bit, node.nodes, inserted(node.content, at, key, value));
        }
        String there = (String) node.content[at];
        if (there.equals(key)) {
            return new Node(node.entries, node.nodes, replaced(node.content, at + 1, value));
        }
        Node both = pair(shift + BITS, spread(there), there, node.content[at + 1], hash, key, value);
        return withNode(node, bit, at, both);
    }

    /** Returns the node with one below in place of an entry. */
    private static Node withNode(Node node, int bit, int indexOfEntry, Node below) {
        Object[] old = node.content;
        Object[] content = new Object[old.length - 1];
        int nodes = node.nodes | bit;
        int indexOfNode = content.length - 1 - Integer.bitCount(nodes & (bit - 1));
        System.arraycopy(old, 0, content, 0, indexOfEntry);
        System.arraycopy(old, indexOfEntry + 2, content, indexOfEntry, indexOfNode - indexOfEntry);
        content[indexOfNode] = below;
        System.arraycopy(old, indexOfNode + 2, content, indexOfNode + 1, content.length - indexOfNode - 1);
        return new Node(node.entries & ~bit, nodes, content);
    }

    /** Returns the node with an entry in place of one below. */
    private static Node withEntry(Node node, int bit, Node single) {
        Object[] old = node.content;
        Object[] content = new Object[old.length + 1];
        int indexOfNode = node.indexOfNode(bit);
        int indexOfEntry = node.indexOfEntry(bit);
        System.arraycopy(old, 0, content, 0, indexOfEntry);
        content[indexOfEntry] = single.content[0];
        content[indexOfEntry + 1] = single.content[1];
        System.arraycopy(old, indexOfEntry, content, indexOfEntry + 2, indexOfNode - indexOfEntry);
        System.arraycopy(old, indexOfNode + 1, content, indexOfNode + 2, old.length - indexOfNode - 1);
        return new Node(node.entries | bit, node.nodes & ~bit, content);
    }

    private static Node pair(
            int shift, int oneHash, String one, Object oneValue, int otherHash, String other, Object otherValue) {
        if (shift >= SHIFT_OF_LISTS) {
            return new Node(0, 0, new Object[] {one, oneValue, other, otherValue});
        }
        int oneBit = bit(oneHash, shift);
        int otherBit = bit(otherHash, shift);
        if (oneBit == otherBit) {
            Node below = pair(shift + BITS, oneHash, one, oneValue, otherHash, other, otherValue);
            return new Node(0, oneBit, new Object[] {below});
        }
        Object[] content = Integer.compareUnsigned(oneBit, otherBit) < 0
                ? new Object[] {one, oneValue, other, otherValue}
                : new Object[] {other, otherValue, one, oneValue};
        return new Node(oneBit | otherBit, 0, content);
    }

    private static Node remove(Node node, int shift, int hash, String key) {
        if (shift >= SHIFT_OF_LISTS) {
            int at = indexInList(node, key);
            return at < 0 ? node : new Node(0, 0, without(node.content, at));
        }
        int bit = bit(hash, shift);
        if ((node.entries & bit) != 0) {
            int at = node.indexOfEntry(bit);
            return node.content[at].equals(key)
                    ? new Node(node.entries & ~bit, node.nodes, without(node.content, at))
                    : node;
        }
        if ((node.nodes & bit) == 0) {
            return node;
        }
        int at = node.indexOfNode(bit);
        Node old = (Node) node.content[at];
        Node below = remove(old, shift + BITS, hash, key);
        if (below == old) {
            return node;
        }
        return below.isSingleEntry()
                ? withEntry(node, bit, below)
                : new Node(node.entries, node.nodes, replaced(node.content, at, below));
    }

    private static Object[] replaced(Object[] content, int at, Object value) {
        Object[] copy = content.clone();
        copy[at] = value;
        return copy;
    }

    private static Object[] inserted(Object[] content, int at, Object key, Object value) {
        Object[] copy = new Object[content.length + 2];
        System.arraycopy(content, 0, copy, 0, at);
        copy[at] = key;
        copy[at + 1] = value;
        System.arraycopy(content, at, copy, at + 2, content.length - at);
        return copy;
    }

    private static Object[] without(Object[] content, int at) {
        Object[] copy = Arrays.copyOf(content, content.length - 2);
        System.arraycopy(content, at + 2, copy, at, content.length - at - 2);
        return copy;
    }

    private static int indexInList(Node list, String key) {
        for (int at = 0; at < list.content.length; at += 2) {
            if (list.content[at].equals(key)) {
                return at;
            }
        }
        return -1;
    }

    private static int bit(int hash, int shift) {
        return 1 << ((hash >>> shift) & PLACES_MASK);
    }

    /** Lets the upper bits count in the first levels, in which strings of like endings differ little. */
    private static int spread(String key) {
        int hash = key.hashCode() * 0x9E3779B9;
        return hash ^ (hash >>> 15);
    }

    private final class Values extends AbstractCollection<V> {
        @Override
        public int size() {
            return size;
        }

        @Override
        public Iterator<V> iterator() {
            return new ValueIterator<>(root);
        }

        @Override
        public void forEach(Consumer<? super V> action) {
            visit(root, action);
        }

        @SuppressWarnings("unchecked")
        private void visit(Node node, Consumer<? super V> action) {
            int entriesEnd = node.content.length - Integer.bitCount(node.nodes);
            for (int at = 0; at < entriesEnd; at += 2) {
                action.accept((V) node.content[at + 1]);
            }
            for (int at = entriesEnd; at < node.content.length; at++) {
                visit((Node) node.content[at], action);
            }
        }
    }

    private static final class ValueIterator<V> implements Iterator<V> {
        private final ArrayDeque<Node> ahead = new ArrayDeque<>();
        private Object[] content = new Object[0];
        private int at;
        private int end;

        ValueIterator(Node root) {
            ahead.push(root);
            proceed();
        }

        private void proceed() {
            while (at >= end && !ahead.isEmpty()) {
                Node node = ahead.pop();
                content = node.content;
                at = 0;
                end = content.length - Integer.bitCount(node.nodes);
                for (int below = content.length - 1; below >= end; below--) {
                    ahead.push((Node) content[below]);
                }
            }
        }

        @Override
        public boolean hasNext() {
            return at < end;
        }

        @Override
        @SuppressWarnings("unchecked")
        public V next() {
            if (at >= end) {
                throw new NoSuchElementException();
            }
            V value = (V) content[at + 1];
            at += 2;
            proceed();
            return value;
        }
    }
}
