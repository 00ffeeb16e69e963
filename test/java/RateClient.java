import java.io.IOException;
import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.http.client.methods.HttpGet;
import org.apache.http.impl.client.CloseableHttpClient;
import org.apache.http.impl.client.HttpClients;
import org.apache.http.util.EntityUtils;

/**
 * A service that leaks at a steady rate: a new HTTP client for each request, never closed.
 *
 * <p>RateClient URL REQUESTS PER_SECOND
 *
 * <p>It reads each answer to its end and asks nothing twice. Then it prints each error that it saw and
 * "done N failed M", and waits for the end of its standard input.
 */
public final class RateClient {
    private final URI url;

    /** What keeps the leaked connections from the garbage collector. */
    private final List<CloseableHttpClient> kept = new ArrayList<>();

    private final Map<String, Integer> errors = new TreeMap<>();
    private int done;
    private int failed;

    private RateClient(URI url) {
        this.url = url;
    }

    private void fetch() {
        CloseableHttpClient client = HttpClients.custom().disableAutomaticRetries().build();
        kept.add(client);
        try {
            String answer = EntityUtils.toString(client.execute(new HttpGet(url)).getEntity());
            if (!answer.equals("ok\n")) {
                throw new IOException("the answer is " + answer);
            }
            done++;
        } catch (IOException e) {
            failed++;
            errors.merge(e.toString(), 1, Integer::sum);
        }
    }

    /**
     * By the clock: what a request that took long has cost is made up for. But not in a burst, which would be another rate: at no more than
     * 5/4 of it.
     */
    private void run(int requests, int perSecond) throws InterruptedException {
        long period = TimeUnit.SECONDS.toNanos(1) / perSecond;
        long due = System.nanoTime();
        for (int i = 0; i < requests; i++) {
            TimeUnit.NANOSECONDS.sleep(due - System.nanoTime());
            long began = System.nanoTime();
            fetch();
            due = Math.max(due + period, began + period * 4 / 5);
        }
    }

    public static void main(String[] args) throws Exception {
        if (args.length != 3) {
            System.err.println("usage: RateClient URL REQUESTS PER_SECOND");
            System.exit(2);
        }
        RateClient client = new RateClient(new URI(args[0]));
        client.run(Integer.parseInt(args[1]), Integer.parseInt(args[2]));
        client.errors.forEach((text, count) -> System.out.println(text + " (" + count + " times)"));
        System.out.println("done " + client.done + " failed " + client.failed);
        while (System.in.read() >= 0) {
            continue;
        }
    }
}
