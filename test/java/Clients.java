import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A service of several parts, each a {@link LeakyClient} in a thread of its own.
 *
 * <p>Clients ARGUMENTS [+ ARGUMENTS]...
 *
 * <p>It ends when all of them have: with the end of its standard input.
 */
public final class Clients {
    private Clients() {}

    private static Thread start(List<String> arguments, int number) {
        Thread thread =
                new Thread(
                        () -> {
                            try {
                                LeakyClient.main(arguments.toArray(new String[0]));
                            } catch (Exception e) {
                                throw new IllegalStateException(e);
                            }
                        },
                        "client-" + number);
        thread.start();
        return thread;
    }

    public static void main(String[] args) throws Exception {
        List<String> all = Arrays.asList(args);
        List<Thread> threads = new ArrayList<>();
        int from = 0;
        while (from < all.size()) {
            int plus = all.subList(from, all.size()).indexOf("+");
            int end = plus < 0 ? all.size() : from + plus;
            threads.add(start(all.subList(from, end), threads.size() + 1));
            from = end + 1;
        }
        for (Thread thread : threads) {
            thread.join();
        }
    }
}
