import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Does with Java's sockets what the test tells it, one call at a time, and says what came of it.
 *
 * <p>It prints "ready" and reads commands from standard input; connections have numbers, from 0.
 *
 * <pre>
 *   socket PORT       a java.net.Socket             channel PORT     a blocking SocketChannel
 *   listen            a ServerSocketChannel         accept N         one of its connections
 *   read N            blocking: bytes read, or -1   send N           1 byte: bytes sent
 *   begin N           a thread that reads N         await N          ... and what it got
 *   register N OPS    r, w or -: non-blocking, into the Selector, which a thread selects on
 *   interest N OPS    seen N    what it found ready, and the first result of a read
 *   cancel N          selects   how often the Selector came back with something
 *   finish N          shutdownOutput                close N
 * </pre>
 */
public final class SocketUser {
    private final List<AutoCloseable> all = new ArrayList<>();
    private final Map<Integer, CompletableFuture<String>> readers = new ConcurrentHashMap<>();
    private final Map<Integer, String> seen = new ConcurrentHashMap<>();
    private final AtomicLong selects = new AtomicLong();
    private Selector selector;

    private String add(AutoCloseable one) {
        all.add(one);
        return "ok " + (all.size() - 1);
    }

    private int read(AutoCloseable one) throws IOException {
        if (one instanceof Socket) {
            return ((Socket) one).getInputStream().read(new byte[65536]);
        }
        return ((SocketChannel) one).read(ByteBuffer.allocate(65536));
    }

    private int send(AutoCloseable one) throws IOException {
        if (one instanceof Socket) {
            ((Socket) one).getOutputStream().write('x');
            return 1;
        }
        return ((SocketChannel) one).write(ByteBuffer.wrap("x".getBytes(StandardCharsets.US_ASCII)));
    }

    private void finish(AutoCloseable one) throws IOException {
        if (one instanceof Socket) {
            ((Socket) one).shutdownOutput();
        } else {
            ((SocketChannel) one).shutdownOutput();
        }
    }

    private String begin(int number) {
        CompletableFuture<String> result = new CompletableFuture<>();
        readers.put(number, result);
        Thread reader = new Thread(() -> result.complete(attempt(() -> "ok " + read(all.get(number)))));
        reader.setDaemon(true);
        reader.start();
        return "ok";
    }

    private static int operations(String words) {
        return (words.contains("r") ? SelectionKey.OP_READ : 0) | (words.contains("w") ? SelectionKey.OP_WRITE : 0);
    }

    /** As event loops do it: an end of file, or an error, is seen once, and the key is of no interest from then on. */
    private void selectForEver() {
        try {
            while (selector.select() >= 0) {
                selects.incrementAndGet();
                for (SelectionKey key : selector.selectedKeys()) {
                    look(key);
                }
                selector.selectedKeys().clear();
            }
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private void look(SelectionKey key) {
        int ready = key.isValid() ? key.readyOps() : 0;
        String result = (ready & SelectionKey.OP_READ) == 0 ? "-" : attempt(() -> "" + read((SocketChannel) key.channel()));
        seen.put((Integer) key.attachment(), ready + " " + result.replace(' ', '_'));
        if (key.isValid() && !result.matches("[1-9].*")) {
            key.interestOps(0);
        }
    }

    private String register(int number, String words) throws IOException {
        SocketChannel channel = (SocketChannel) all.get(number);
        if (selector == null) {
            selector = Selector.open();
            Thread thread = new Thread(this::selectForEver, "selecting");
            thread.setDaemon(true);
            thread.start();
        }
        channel.configureBlocking(false);
        channel.register(selector, operations(words), number);
        selector.wakeup();
        return "ok";
    }

    private interface Step {
        String take() throws Exception;
    }

    private static String attempt(Step step) {
        try {
            return step.take();
        } catch (IOException e) {
            return "error " + e.getClass().getSimpleName() + " " + e.getMessage();
        } catch (Exception e) {
            return "error UNEXPECTED " + e;
        }
    }

    private String obey(String[] word) throws Exception {
        int number = word.length > 1 ? Integer.parseInt(word[1]) : -1;
        switch (word[0]) {
            case "socket":
                return add(new Socket("127.0.0.1", number));
            case "channel":
                return add(SocketChannel.open(new InetSocketAddress("127.0.0.1", number)));
            case "listen":
                ServerSocketChannel server = ServerSocketChannel.open().bind(new InetSocketAddress("127.0.0.1", 0));
                return add(server) + " " + server.socket().getLocalPort();
            case "accept":
                return add(((ServerSocketChannel) all.get(number)).accept());
            case "read":
                return "ok " + read(all.get(number));
            case "send":
                return "ok " + send(all.get(number));
            case "begin":
                return begin(number);
            case "await":
                return readers.get(number).get();
            case "register":
                return register(number, word[2]);
            case "interest":
                ((SocketChannel) all.get(number)).keyFor(selector).interestOps(operations(word[2]));
                selector.wakeup();
                return "ok";
            case "cancel":
                ((SocketChannel) all.get(number)).keyFor(selector).cancel();
                selector.wakeup();
                return "ok";
            case "seen":
                return "ok " + seen.getOrDefault(number, "-");
            case "selects":
                return "ok " + selects.get();
            case "finish":
                finish(all.get(number));
                return "ok";
            case "close":
                all.get(number).close();
                if (selector != null) {
                    selector.wakeup(); // a registered channel is closed for good when its selector selects again
                }
                return "ok";
            default:
                throw new IllegalArgumentException(word[0]);
        }
    }

    public static void main(String[] args) throws Exception {
        SocketUser user = new SocketUser();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        System.out.println("ready");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ");
            System.out.println(attempt(() -> user.obey(words)));
        }
    }
}
