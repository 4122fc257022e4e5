package io.skep.simulation;

import java.util.LinkedHashSet;
import java.util.Set;

/** A machine of a simulated cluster: its name and address, its clock, its disk, and the programs that run on it. */
final class Host {
    private final String name;
    private final String address;
    final Set<SimulatedProcess> processes = new LinkedHashSet<>();

    /** How far its wall clock is ahead of true time. */
    long wallOffsetNanos;

    /** What its monotonic clock showed when the simulation began. */
    final long bootNanos;

    /** False while it has no power. */
    boolean up = true;

    /** What each write to its disk takes longer than usual. */
    long diskDelayNanos;

    Host(String name, String address, long bootNanos) {
        this.name = name;
        this.address = address;
        this.bootNanos = bootNanos;
    }

    String name() {
        return name;
    }

    /** Returns its IP address. */
    String address() {
        return address;
    }

    @Override
    public String toString() {
        return name;
    }
}
