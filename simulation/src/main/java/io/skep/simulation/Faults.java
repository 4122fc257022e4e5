package io.skep.simulation;

import io.skep.simulation.Quorum.Moment;
import java.util.List;
import java.util.Random;

/** Bad luck, and how long it lasts. */
final class Faults {
    private static final List<Moment> MOMENTS = List.of(Moment.values());
    private static final long SECOND = 1_000_000_000L;

    private final World world;

    Faults(World world) {
        this.world = world;
    }

    void perform(Deed deed) {
        Random random = new Random(deed.seed());
        List<Board> boards = world.boards();
        Board board = boards.get(random.nextInt(boards.size()));
        Board other = boards.get(random.nextInt(boards.size()));
        // Managers are hit as often as all others together.
        if (random.nextBoolean()) {
            List<Board> managers =
                    boards.stream().filter(each -> each.manager() != null).toList();
            board = managers.isEmpty() ? board : managers.get(random.nextInt(managers.size()));
        }
        long duration = duration(random);
        Board hit = board;
        switch (deed.kind()) {
            case KILL -> {
                say(deed, hit + " for " + seconds(duration));
                hit.crash(false);
                later(duration, hit::comeBack);
            }
            case POWER_OFF -> {
                say(deed, hit + " for " + seconds(duration));
                hit.crash(true);
                later(duration, hit::comeBack);
            }
            case STAND_STILL -> {
                say(deed, hit + " for " + seconds(duration));
                hit.standStill();
                later(duration, hit::goOn);
            }
            case CUT -> {
                say(deed, hit + " and " + other + " for " + seconds(duration));
                cut(hit, other);
                cut(other, hit);
                later(duration, () -> {
                    mend(hit, other);
                    mend(other, hit);
                });
            }
            case CUT_ONE_WAY -> {
                say(deed, "from " + hit + " to " + other + " for " + seconds(duration));
                cut(hit, other);
                later(duration, () -> mend(hit, other));
            }
            case ISOLATE -> {
                int ways = random.nextInt(4);
                say(
                        deed,
                        hit + " for " + seconds(duration)
                                + (ways == 0 ? ", it is heard" : ways == 1 ? ", it hears" : ""));
                for (Board each : boards) {
                    if (ways != 0) {
                        cut(hit, each);
                    }
                    if (ways != 1) {
                        cut(each, hit);
                    }
                }
                later(duration, () -> {
                    for (Board each : boards) {
                        mend(hit, each);
                        mend(each, hit);
                    }
                });
            }
            case BREAK_CONNECTIONS -> {
                say(deed, hit.toString());
                for (Board each : boards) {
                    if (random.nextBoolean()) {
                        world.network().breakOne(hit.host, each.host);
                    }
                }
            }
            case SLOW_LINK -> {
                long delay = random.nextInt(800) * 1_000_000L;
                say(deed, hit + " and " + other + " by " + delay / 1_000_000 + " ms for " + seconds(duration));
                world.network().slow(hit.host, other.host, delay);
                later(duration, () -> world.network().slow(hit.host, other.host, 0));
            }
            case SLOW_DISK -> {
                long delay = random.nextInt(1500) * 1_000_000L;
                say(deed, hit + " by " + delay / 1_000_000 + " ms for " + seconds(duration));
                hit.host.diskDelayNanos = delay;
                later(duration, () -> hit.host.diskDelayNanos = 0);
            }
            case CLOCK_JUMP -> {
                long jump =
                        (random.nextBoolean() ? 1 : -1) * (long) (random.nextDouble() * random.nextInt(7200) * SECOND);
                say(deed, hit + " by " + jump / SECOND + " s");
                hit.host.wallOffsetNanos += jump;
            }
            case LOSE_OFFICE -> {
                Moment moment = MOMENTS.get(random.nextInt(MOMENTS.size()));
                int count = 1 + random.nextInt(6);
                say(deed, "when an entry is " + moment + ", the " + count + ". time");
                world.quorum().arm(moment, count);
            }
            case HAND_OVER -> {
                say(deed, "to another manager");
                world.quorum().depose();
            }
            default -> throw new IllegalArgumentException(deed.kind() + " is no bad luck");
        }
    }

    private void say(Deed deed, String text) {
        world.trace().say("fault", "", () -> deed.kind() + " " + text);
    }

    private static String seconds(long nanos) {
        return nanos / 1_000_000 + " ms";
    }

    private static long duration(Random random) {
        return switch (random.nextInt(5)) {
            case 0 -> random.nextLong(SECOND);
            case 1, 2 -> random.nextLong(6 * SECOND);
            case 3 -> random.nextLong(20 * SECOND);
            default -> random.nextLong(50 * SECOND);
        };
    }

    private void later(long nanos, Runnable what) {
        world.time().afterNanos(nanos, () -> {
            if (!world.isCalm()) {
                what.run();
            }
        });
    }

    private void cut(Board from, Board to) {
        world.network().cut(from.host, to.host);
    }

    private void mend(Board from, Board to) {
        world.network().mend(from.host, to.host);
    }
}
