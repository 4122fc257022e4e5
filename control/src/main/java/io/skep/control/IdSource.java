package io.skep.control;

/** Where decisions take ids and random bytes from; a seeded one makes them repeatable. */
public interface IdSource {
    /** Returns a new object id: 25 characters of base 36 (swarm-wire 1.4). */
    String nextId();

    /** Returns that many random bytes, fit for secrets. */
    byte[] randomBytes(int count);

    /** Returns a number in [0, bound). */
    int nextInt(int bound);
}
