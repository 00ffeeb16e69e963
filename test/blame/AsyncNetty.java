import io.netty.bootstrap.Bootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelOption;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.nio.NioSocketChannel;
import java.util.ArrayList;
import java.util.List;

/** Netty channels that are never read from: they are made in the caller's thread. AsyncNetty PORT COUNT. */
public final class AsyncNetty {
    private AsyncNetty() {}

    public static void main(String[] args) throws Exception {
        NioEventLoopGroup group = new NioEventLoopGroup(2);
        List<Channel> kept = new ArrayList<>();
        Bootstrap bootstrap =
                new Bootstrap()
                        .group(group)
                        .channel(NioSocketChannel.class)
                        .option(ChannelOption.AUTO_READ, false);
        for (int i = 0; i < Integer.parseInt(args[1]); i++) {
            bootstrap.handler(new ChannelInboundHandlerAdapter());
            ChannelFuture connecting = bootstrap.connect("127.0.0.1", Integer.parseInt(args[0])); // BLAME AsyncNetty.main
            kept.add(connecting.sync().channel());
        }
        System.out.println("ready");
        while (System.in.read() >= 0) {
            continue;
        }
        group.shutdownGracefully();
    }
}
