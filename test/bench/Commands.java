import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;

/** Does what it is told so many times, as lines of standard input say, and says how long one took, and how long of a processor. */
final class Commands {
    private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

    /** What is measured. */
    interface Work {
        void doIt(int n) throws IOException;
    }

    private Commands() {}

    static void forEach(Work work) throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        System.out.println("ready");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            int n = Integer.parseInt(line.trim());
            long start = System.nanoTime();
            long used = THREADS.getCurrentThreadCpuTime();
            work.doIt(n);
            used = THREADS.getCurrentThreadCpuTime() - used;
            System.out.println("ok " + (double) (System.nanoTime() - start) / n + " " + (double) used / n);
        }
    }
}
