package io.skep.agent;

import io.grpc.Deadline;
import java.util.concurrent.ScheduledExecutorService;
import java.util.random.RandomGenerator;

/**
 * All that an agent has of time, chance and the network.
 *
 * @param serial runs everything of the agent, one step after the other in the order they were given; its delays are the
 *     agent's time. Several agents may share one. Its owner ends it
 * @param ticker measures the deadlines of calls
 * @param random draws delays
 * @param transport leads to managers
 */
public record AgentPorts(
        ScheduledExecutorService serial, Deadline.Ticker ticker, RandomGenerator random, ManagerTransport transport) {}
