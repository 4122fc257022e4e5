package io.netty.channel.epoll;

import io.netty.channel.Channel;
import java.io.IOException;

/**
 * Keeps a channel registered that wants no event for the moment.
 *
 * <p>Netty 4.2.17 takes a descriptor out of epoll when its channel wants nothing: reading is paused and the other side
 * has ended its sending. It does not put it in again when reading goes on, so the connection breaks with what was not
 * read yet. A channel that wants to hear of errors, which every channel does anyhow, never wants nothing.
 *
 * <p>It stands in Netty's package because the call is open to no other.
 */
public final class EpollRegistration {
    private EpollRegistration() {}

    /** Called on the event loop of a channel that is registered; does nothing for one that is not of epoll. */
    public static void keep(Channel channel) throws IOException {
        if (channel instanceof AbstractEpollChannel polled) {
            polled.setFlag(Native.EPOLLERR);
        }
    }
}
