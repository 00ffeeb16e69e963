import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.net.Socket;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * Opens one connection in each of the ways in which something stands between the line that opens it and the JDK, or
 * between that line and its caller; then prints "ready" and waits for the end of its input.
 *
 * <p>Synchronous PORT
 */
public final class Synchronous {
    private static final List<Object> kept = new ArrayList<>();
    private static int port;

    private Synchronous() {}

    /** What a proxy stands for. */
    public interface Opener {
        Socket open() throws Exception;
    }

    static final class OpenedByReflection {
        public Socket open() throws IOException {
            return new Socket("127.0.0.1", port); // BLAME Synchronous$OpenedByReflection.open
        }
    }

    private static Socket byLambda(ExecutorService executor) throws Exception {
        Callable<Socket> open = () -> new Socket("127.0.0.1", port); // BLAME Synchronous.byLambda
        return executor.submit(open).get();
    }

    private static Socket byFuture() throws Exception {
        return CompletableFuture.supplyAsync(
                        () -> {
                            try {
                                return new Socket("127.0.0.1", port); // BLAME Synchronous.byFuture
                            } catch (IOException e) {
                                throw new IllegalStateException(e);
                            }
                        })
                .get();
    }

    /** A thing that makes sockets, and a reference to its constructor. */
    interface Maker {
        Socket make(String host, int port) throws IOException;
    }

    private static Socket byReference() throws IOException {
        Maker maker = Socket::new;
        return maker.make("127.0.0.1", port); // BLAME Synchronous.byReference
    }

    private static Socket byProxy() throws Exception {
        OpenedByReflection behind = new OpenedByReflection();
        InvocationHandler handler =
                (proxy, method, args) -> OpenedByReflection.class.getMethod("open").invoke(behind);
        Opener opener =
                (Opener)
                        Proxy.newProxyInstance(
                                Synchronous.class.getClassLoader(), new Class<?>[] {Opener.class}, handler);
        return opener.open();
    }

    private static InputStream byUrl() throws Exception {
        return new java.net.URL("http://127.0.0.1:" + port + "/").openStream(); // BLAME Synchronous.byUrl
    }

    public static void main(String[] args) throws Exception {
        ExecutorService executor = Executors.newSingleThreadExecutor();
        port = Integer.parseInt(args[0]);
        kept.add(byLambda(executor));
        kept.add(byFuture());
        kept.add(byReference());
        kept.add(byProxy());
        kept.add(byUrl());
        System.out.println("ready");
        while (System.in.read() >= 0) {
            continue;
        }
        executor.shutdown();
    }
}
