import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketException;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.http.client.methods.HttpGet;
import org.apache.http.impl.client.CloseableHttpClient;
import org.apache.http.impl.client.HttpClients;
import org.apache.http.util.EntityUtils;

/**
 * A client that never closes its connections, in the ways that Java programs do it.
 *
 * <p>LeakyClient URL REQUESTS PAUSE_MS main|pool|lambda|socket|channel|clean [-exit]
 *
 * <p>It sends that many requests and reads each answer to its end, so that the server may keep the
 * connection alive. Then it prints "done N failed M" and, unless -exit is given, waits for the end of
 * its standard input. The line that opens a mode's connections carries the comment LEAK and the mode.
 */
public final class LeakyClient {
    private static final int POOL_THREADS = 4;

    /** What keeps the leaked connections from the garbage collector. */
    private final List<AutoCloseable> kept = new CopyOnWriteArrayList<>();

    private final Map<String, AtomicInteger> failures = new ConcurrentHashMap<>();
    private final AtomicInteger done = new AtomicInteger();
    private final AtomicInteger failed = new AtomicInteger();
    private final URI url;

    private LeakyClient(URI url) {
        this.url = url;
    }

    /** One client for one request: the mistake. Retries would only log each failure four times. */
    private CloseableHttpClient newClient() {
        CloseableHttpClient client = HttpClients.custom().disableAutomaticRetries().build();
        kept.add(client);
        return client;
    }

    private Void fetch() throws IOException {
        CloseableHttpClient client = newClient();
        EntityUtils.consume(client.execute(new HttpGet(url)).getEntity()); // LEAK main
        return null;
    }

    private Void fetchInPool() throws IOException {
        CloseableHttpClient client = newClient();
        EntityUtils.consume(client.execute(new HttpGet(url)).getEntity()); // LEAK pool
        return null;
    }

    private Callable<Void> fetchInLambda() {
        return () -> {
            CloseableHttpClient client = newClient();
            EntityUtils.consume(client.execute(new HttpGet(url)).getEntity()); // LEAK lambda
            return null;
        };
    }

    private Void fetchBySocket() throws IOException {
        Socket socket = new Socket(url.getHost(), url.getPort()); // LEAK socket
        kept.add(socket);
        socket.getOutputStream().write(request());
        readAnswer(socket.getInputStream());
        return null;
    }

    private Void fetchByChannel() throws IOException {
        SocketChannel channel = SocketChannel.open(new InetSocketAddress(url.getHost(), url.getPort())); // LEAK channel
        kept.add(channel);
        channel.write(ByteBuffer.wrap(request()));
        readAnswer(channel.socket().getInputStream());
        return null;
    }

    private Void fetchAndClose() throws IOException {
        try (CloseableHttpClient client = HttpClients.createDefault()) {
            EntityUtils.consume(client.execute(new HttpGet(url)).getEntity());
        }
        return null;
    }

    private byte[] request() {
        String text = "GET " + url.getRawPath() + " HTTP/1.1\r\nHost: " + url.getAuthority() + "\r\n\r\n";
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    /** Reads an answer that has a Content-Length. */
    private static void readAnswer(InputStream in) throws IOException {
        StringBuilder head = new StringBuilder();
        while (head.indexOf("\r\n\r\n") < 0) {
            int c = in.read();
            if (c < 0) {
                throw new IOException("the answer ended in its head");
            }
            head.append((char) c);
        }
        int length = 0;
        for (String line : head.toString().split("\r\n")) {
            if (line.regionMatches(true, 0, "Content-Length:", 0, 15)) {
                length = Integer.parseInt(line.substring(15).trim());
            }
        }
        if (in.readNBytes(length).length != length) {
            throw new IOException("the answer ended in its body");
        }
    }

    /** One request, counted. */
    private void attempt(Callable<Void> fetch) {
        try {
            fetch.call();
            done.incrementAndGet();
        } catch (SocketException e) {
            failed.incrementAndGet();
            failures.computeIfAbsent(e.toString(), key -> new AtomicInteger()).incrementAndGet();
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    private Callable<Void> fetchOf(String mode) {
        switch (mode) {
            case "main":
                return this::fetch;
            case "pool":
                return this::fetchInPool;
            case "lambda":
                return fetchInLambda();
            case "socket":
                return this::fetchBySocket;
            case "channel":
                return this::fetchByChannel;
            case "clean":
                return this::fetchAndClose;
            default:
                throw new IllegalArgumentException("no such mode: " + mode);
        }
    }

    private void run(int requests, int pauseMs, String mode) throws InterruptedException {
        Callable<Void> fetch = fetchOf(mode);
        ExecutorService pool = mode.equals("pool") ? Executors.newFixedThreadPool(POOL_THREADS) : null;
        for (int i = 0; i < requests; i++) {
            if (pool != null) {
                pool.execute(() -> attempt(fetch));
            } else {
                attempt(fetch);
            }
            Thread.sleep(pauseMs);
        }
        if (pool != null) {
            pool.shutdown();
            pool.awaitTermination(1, TimeUnit.MINUTES);
        }
    }

    public static void main(String[] args) throws Exception {
        if (args.length < 4) {
            System.err.println("usage: LeakyClient URL REQUESTS PAUSE_MS MODE [-exit]");
            System.exit(2);
        }
        LeakyClient client = new LeakyClient(new URI(args[0]));
        client.run(Integer.parseInt(args[1]), Integer.parseInt(args[2]), args[3]);
        client.failures.forEach((text, count) -> System.out.println(text + " (" + count + " times)"));
        System.out.println("done " + client.done + " failed " + client.failed);
        if (!Arrays.asList(args).contains("-exit")) {
            while (System.in.read() >= 0) {
                continue;
            }
        }
    }
}
