package io.skep.manager;

import io.grpc.Deadline;
import io.skep.control.IdSource;
import io.skep.store.Consensus;
import io.skep.store.Store;
import java.time.InstantSource;
import java.util.concurrent.ScheduledExecutorService;

/**
 * All that a {@link ControlPlane} has to do with the world outside of it. Whoever replaces these decides about time,
 * order and chance: the simulation runs a whole cluster of control planes in one thread.
 *
 * @param consensus the replicated log
 * @param store what the log applies its entries to
 * @param ids ids, and all that is left to chance
 * @param clock the time of day, which may jump; it is what objects are stamped with
 * @param ticker time that only grows; deadlines and intervals are measured by it
 * @param executor runs whatever waits for nothing, in any order and side by side, and what is due later
 * @param control runs the decisions of the leader, one after the other
 * @param peers connections to other managers
 */
public record ManagerPorts(
        Consensus consensus,
        Store store,
        IdSource ids,
        InstantSource clock,
        Deadline.Ticker ticker,
        ScheduledExecutorService executor,
        ScheduledExecutorService control,
        PeerChannels peers) {}
