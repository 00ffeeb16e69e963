import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.channels.SocketChannel;

/**
 * {@code Opener PORT DEPTH known|fresh}: for each line N on standard input, N connections are opened and closed with so many Java
 * frames on the stack, always the same or never the same; prints what Commands says.
 */
public final class Opener {
    /** main, the loop of Commands and its lambda, open, and four of the library: open, openSocketChannel, its constructor, Net.socket. */
    private static final int OTHER_FRAMES = 9;

    private static InetSocketAddress place;

    private static void open() throws IOException {
        try (SocketChannel channel = SocketChannel.open()) {
            channel.setOption(StandardSocketOptions.SO_LINGER, 0);
            channel.connect(place);
        }
    }

    private static void descend(int depth, int way) throws IOException {
        if (depth == 0) {
            open();
        } else if ((way & 1) != 0) {
            descend(depth - 1, way >> 1);
        } else {
            descend(depth - 1, way >> 1);
        }
    }

    public static void main(String[] args) throws IOException {
        place = new InetSocketAddress(InetAddress.getLoopbackAddress(), Integer.parseInt(args[0]));
        int depth = Math.max(0, Integer.parseInt(args[1]) - OTHER_FRAMES);
        int step = args[2].equals("fresh") ? 1 : 0;
        int[] way = new int[1];
        Commands.forEach(n -> {
            for (int i = 0; i < n; i++) {
                descend(depth, way[0]);
                way[0] += step;
            }
        });
    }
}
