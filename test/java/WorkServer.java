import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

/**
 * A service of the usual kind: HTTP on a pool of threads, child processes, and clients of its own.
 *
 * <p>{@code WorkServer PORT} serves on 127.0.0.1 and prints "ready":
 *
 * <pre>
 *   /echo            the body of the request
 *   /big?BYTES,SEED  so many bytes, the same for each seed
 *   /run?TEXT        what /bin/cat makes of the text, in a child process, and how it ended
 *   /gc              a collection first
 * </pre>
 *
 * <p>It obeys lines of standard input: "clients N" sends N requests to itself by an HttpClient, "channels N
 * ROUNDS" has N NIO clients talk to an NIO server in here, "stop" stops serving. At the end of input it stops and
 * returns.
 */
public final class WorkServer {
    private final HttpServer server;
    private final ExecutorService threads = Executors.newFixedThreadPool(16);

    private WorkServer(int port) throws IOException {
        server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 1024);
        server.setExecutor(threads);
        server.createContext("/echo", exchange -> answer(exchange, exchange.getRequestBody().readAllBytes()));
        server.createContext("/big", exchange -> answer(exchange, big(query(exchange))));
        server.createContext("/run", exchange -> answer(exchange, run(query(exchange))));
        server.createContext("/gc", exchange -> {
            System.gc();
            answer(exchange, new byte[0]);
        });
        server.start();
    }

    private static String query(HttpExchange exchange) {
        return exchange.getRequestURI().getQuery();
    }

    private static void answer(HttpExchange exchange, byte[] body) throws IOException {
        exchange.getRequestBody().close();
        exchange.sendResponseHeaders(200, body.length == 0 ? -1 : body.length);
        try (OutputStream out = exchange.getResponseBody()) {
            out.write(body);
        }
    }

    private static byte[] big(String query) {
        String[] words = query.split(",");
        byte[] body = new byte[Integer.parseInt(words[0])];
        new Random(Long.parseLong(words[1])).nextBytes(body);
        return body;
    }

    private static byte[] run(String text) throws IOException {
        Process child = new ProcessBuilder("/bin/cat").start();
        try (OutputStream in = child.getOutputStream()) {
            in.write(text.getBytes(StandardCharsets.UTF_8));
        }
        String said = new String(child.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        try {
            return (said + " " + child.waitFor()).getBytes(StandardCharsets.UTF_8);
        } catch (InterruptedException e) {
            throw new IOException(e);
        }
    }

    /** Requests to itself, all at once, on connections that are kept: how many answers were right. */
    private String clients(int count) throws Exception {
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).executor(threads).build();
        String base = "http://127.0.0.1:" + server.getAddress().getPort();
        List<CompletableFuture<Boolean>> answers = new ArrayList<>();
        int good = 0;
        for (int n = 0; n < count; n++) {
            int size = 10 + n * 100;
            URI uri = URI.create(base + "/big?" + size + "," + n);
            byte[] expected = big(size + "," + n);
            answers.add(client.sendAsync(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.ofByteArray())
                .thenApply(answer -> answer.statusCode() == 200 && java.util.Arrays.equals(answer.body(), expected)));
            if (answers.size() == 50 || n == count - 1) {
                for (CompletableFuture<Boolean> answer : answers) {
                    good += answer.get(60, TimeUnit.SECONDS) ? 1 : 0;
                }
                answers.clear();
            }
        }
        return "ok " + good;
    }

    /** An echo on a Selector, until all its clients have gone. */
    private static int serveChannels(ServerSocketChannel listener, int clients) throws IOException {
        int echoed = 0;
        int gone = 0;
        ByteBuffer buffer = ByteBuffer.allocateDirect(4096);
        try (Selector selector = Selector.open()) {
            listener.configureBlocking(false);
            listener.register(selector, SelectionKey.OP_ACCEPT);
            while (gone < clients) {
                selector.select();
                for (SelectionKey key : selector.selectedKeys()) {
                    if (key.isAcceptable()) {
                        SocketChannel accepted = listener.accept();
                        if (accepted != null) {
                            accepted.configureBlocking(false);
                            accepted.register(selector, SelectionKey.OP_READ);
                        }
                        continue;
                    }
                    SocketChannel channel = (SocketChannel) key.channel();
                    buffer.clear();
                    int length = channel.read(buffer);
                    if (length < 0) {
                        channel.close();
                        gone++;
                        continue;
                    }
                    buffer.flip();
                    while (buffer.hasRemaining()) {
                        echoed += channel.write(buffer);
                    }
                }
                selector.selectedKeys().clear();
            }
        }
        return echoed;
    }

    private String channels(int count, int rounds) throws Exception {
        try (ServerSocketChannel listener = ServerSocketChannel.open()) {
            listener.bind(new InetSocketAddress("127.0.0.1", 0), 1024);
            int port = ((InetSocketAddress) listener.getLocalAddress()).getPort();
            CompletableFuture<Integer> echoed = new CompletableFuture<>();
            Thread thread = new Thread(() -> {
                try {
                    echoed.complete(serveChannels(listener, count));
                } catch (IOException e) {
                    echoed.completeExceptionally(e);
                }
            });
            thread.start();
            List<Socket> sockets = new ArrayList<>();
            for (int n = 0; n < count; n++) {
                sockets.add(new Socket("127.0.0.1", port));
            }
            int good = 0;
            byte[] word = "0123456789".getBytes(StandardCharsets.US_ASCII);
            for (int round = 0; round < rounds; round++) {
                for (Socket socket : sockets) {
                    socket.getOutputStream().write(word);
                }
                for (Socket socket : sockets) {
                    good += java.util.Arrays.equals(socket.getInputStream().readNBytes(word.length), word) ? 1 : 0;
                }
            }
            for (Socket socket : sockets) {
                socket.close();
            }
            String result = "ok " + good + " " + echoed.get(60, TimeUnit.SECONDS);
            thread.join();
            return result;
        }
    }

    private void stop() {
        server.stop(0);
        threads.shutdown();
    }

    private String obey(String[] words) throws Exception {
        switch (words[0]) {
            case "clients":
                return clients(Integer.parseInt(words[1]));
            case "channels":
                return channels(Integer.parseInt(words[1]), Integer.parseInt(words[2]));
            case "stop":
                stop();
                return "ok";
            default:
                return "error";
        }
    }

    public static void main(String[] args) throws Exception {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("the shutdown hook ran")));
        WorkServer work = new WorkServer(Integer.parseInt(args[0]));
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        System.out.println("ready");
        String line;
        while ((line = in.readLine()) != null) {
            System.out.println(work.obey(line.split(" ")));
        }
        work.stop();
    }
}
