import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Runs programs through ProcessBuilder and Runtime while its other threads connect and accept, and prints what came of each.
 *
 * <p>Usage: ProcessRunner ROUNDS. The last line says how many connections failed.
 */
public final class ProcessRunner {
    private static final AtomicBoolean IS_OVER = new AtomicBoolean();
    private static final AtomicInteger WRONG = new AtomicInteger();

    private static void connectAllTheTime() {
        while (!IS_OVER.get()) {
            try (ServerSocket server = new ServerSocket(0, 8, InetAddress.getLoopbackAddress());
                    Socket near = new Socket(server.getInetAddress(), server.getLocalPort());
                    Socket far = server.accept()) {
                near.getOutputStream().write('x');
                if (far.getInputStream().read() != 'x') {
                    WRONG.incrementAndGet();
                }
            } catch (IOException e) {
                WRONG.incrementAndGet();
            }
        }
    }

    private static String readAll(InputStream in) throws IOException {
        try (in) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8).trim();
        }
    }

    private static void run(ProcessBuilder builder, String input) throws IOException, InterruptedException {
        Process process = builder.start();
        try (OutputStream out = process.getOutputStream()) {
            out.write(input.getBytes(StandardCharsets.UTF_8));
        } catch (IOException e) {
            // It has ended without reading.
        }
        String said = readAll(process.getInputStream());
        System.out.println(builder.command() + " " + said + " " + process.waitFor());
    }

    private static ProcessBuilder shell(String script) {
        return new ProcessBuilder("sh", "-c", script).redirectErrorStream(true);
    }

    private static void runAll() throws IOException, InterruptedException {
        run(shell("echo out; exit 3"), "");
        run(shell("cat; kill -TERM $$"), "through a pipe");
        run(shell("pwd").directory(new File("/")), "");
        ProcessBuilder withVariable = shell("echo $ONE");
        withVariable.environment().put("ONE", "1");
        run(withVariable, "");
        run(shell("echo nowhere").redirectOutput(ProcessBuilder.Redirect.DISCARD), "");
        try {
            new ProcessBuilder("/nonexistent").start();
        } catch (IOException e) {
            System.out.println(e.getMessage());
        }
        Process killed = Runtime.getRuntime().exec(new String[] {"sleep", "100"});
        killed.destroyForcibly();
        System.out.println("killed " + killed.waitFor() + " " + killed.isAlive());
    }

    public static void main(String[] args) throws IOException, InterruptedException {
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            Thread thread = new Thread(ProcessRunner::connectAllTheTime);
            thread.start();
            threads.add(thread);
        }
        for (int round = 0; round < Integer.parseInt(args[0]); round++) {
            runAll();
        }
        IS_OVER.set(true);
        for (Thread thread : threads) {
            thread.join();
        }
        System.out.println("wrong " + WRONG.get());
    }

    private ProcessRunner() {}
}
