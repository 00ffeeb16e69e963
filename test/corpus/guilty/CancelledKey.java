import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** SocketChannel: at the end of the input the key is cancelled, and the channel stays open. */
public final class CancelledKey {
    private static final List<SocketChannel> sessions = new ArrayList<>();
    private static final ByteBuffer buffer = ByteBuffer.allocate(65536);

    private static void connect(Selector selector, InetSocketAddress server) throws Exception {
        SocketChannel channel = SocketChannel.open(server); // LEAK
        sessions.add(channel);
        channel.write(ByteBuffer.wrap("GET / HTTP/1.1\r\nHost: corpus\r\n\r\n".getBytes(StandardCharsets.US_ASCII)));
        channel.configureBlocking(false);
        channel.register(selector, SelectionKey.OP_READ);
    }

    private static void read(SelectionKey key) throws Exception {
        buffer.clear();
        if (((SocketChannel) key.channel()).read(buffer) < 0) { // EOF
            key.cancel();
        }
    }

    public static void main(String[] args) throws Exception {
        InetSocketAddress server = new InetSocketAddress(args[0], Integer.parseInt(args[1]));
        Selector selector = Selector.open();
        for (int i = 0; i < 1000; i++) {
            connect(selector, server);
            long end = System.nanoTime() + 100_000_000L;
            while (System.nanoTime() < end) {
                selector.select(20);
                for (SelectionKey key : selector.selectedKeys()) {
                    read(key);
                }
                selector.selectedKeys().clear();
            }
        }
    }
}
