package io.skep.daemon;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.netty.bootstrap.Bootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.epoll.EpollDomainDatagramChannel;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.unix.DomainDatagramPacket;
import io.netty.channel.unix.DomainSocketAddress;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ServiceManagerTest {
    @TempDir
    private Path folder;

    @Test
    void itIsToldWhenTheDaemonIsReadyAndWhenItStops() throws Exception {
        Path socket = folder.resolve("notify");
        BlockingQueue<String> states = new LinkedBlockingQueue<>();
        try (EventLoopGroup group = new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory())) {
            Channel channel = new Bootstrap()
                    .group(group)
                    .channel(EpollDomainDatagramChannel.class)
                    .handler(new SimpleChannelInboundHandler<DomainDatagramPacket>() {
                        @Override
                        protected void channelRead0(ChannelHandlerContext context, DomainDatagramPacket packet) {
                            states.add(packet.content().toString(StandardCharsets.UTF_8));
                        }
                    })
                    .bind(new DomainSocketAddress(socket.toString()))
                    .sync()
                    .channel();
            ServiceManager manager = ServiceManager.of(Map.of("NOTIFY_SOCKET", socket.toString()), 1);
            manager.ready();
            assertThat(states.poll(10, TimeUnit.SECONDS)).isEqualTo("READY=1");
            manager.stopping();
            assertThat(states.poll(10, TimeUnit.SECONDS)).isEqualTo("STOPPING=1");
            channel.close().sync();
        }
    }

    @Test
    void aServiceManagerThatIsGoneDoesNotMatter() {
        ServiceManager.of(Map.of("NOTIFY_SOCKET", folder.resolve("gone").toString()), 1)
                .ready();
        assertThatThrownBy(() -> SocketCalls.sendDatagram(folder.resolve("gone").toString(), "x"))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("error 2");
    }
}
