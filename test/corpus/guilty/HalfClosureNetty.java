import io.netty.bootstrap.Bootstrap;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.nio.NioSocketChannel;
import io.netty.util.ReferenceCountUtil;
import java.nio.charset.StandardCharsets;

/** Netty: half-closure is allowed, and its event handled by nobody. */
public final class HalfClosureNetty {
    private static final class Talk extends ChannelInboundHandlerAdapter {
        @Override
        public void channelActive(ChannelHandlerContext context) {
            byte[] request = "GET / HTTP/1.1\r\nHost: corpus\r\n\r\n".getBytes(StandardCharsets.US_ASCII);
            context.writeAndFlush(Unpooled.wrappedBuffer(request));
        }

        @Override
        public void channelRead(ChannelHandlerContext context, Object message) {
            ReferenceCountUtil.release(message);
        }
    }

    private static void fetch(Bootstrap bootstrap, String host, int port) throws Exception {
        bootstrap.connect(host, port).sync(); // LEAK
    }

    public static void main(String[] args) throws Exception {
        EventLoopGroup threads = new NioEventLoopGroup(2);
        Bootstrap bootstrap = new Bootstrap()
                .group(threads)
                .channel(NioSocketChannel.class)
                .option(ChannelOption.ALLOW_HALF_CLOSURE, true)
                .handler(new Talk());
        // A Bootstrap's handler serves one channel unless it is sharable: a copy for each.
        for (int i = 0; i < 1000; i++) {
            fetch(bootstrap.clone().handler(new Talk()), args[0], Integer.parseInt(args[1]));
            Thread.sleep(100);
        }
        threads.shutdownGracefully();
    }
}
