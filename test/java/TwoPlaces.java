import java.io.IOException;
import java.nio.channels.SocketChannel;
import java.util.ArrayList;
import java.util.List;

/** {@code TwoPlaces N}: opens N sockets in each of two methods, in turn; says "ready", and goes at the end of its input. */
public final class TwoPlaces {
    private static final List<SocketChannel> KEPT = new ArrayList<>();

    private static void here() throws IOException {
        KEPT.add(SocketChannel.open());
    }

    private static void there() throws IOException {
        KEPT.add(SocketChannel.open());
    }

    private static void open(boolean isHere) throws IOException {
        if (isHere) {
            here();
        } else {
            there();
        }
    }

    public static void main(String[] args) throws IOException {
        for (int i = 0; i < 2 * Integer.parseInt(args[0]); i++) {
            open(i % 2 == 0);
        }
        System.out.println("ready");
        System.in.read();
    }
}
