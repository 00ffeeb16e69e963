import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.http.client.methods.CloseableHttpResponse;
import org.apache.http.client.methods.HttpGet;
import org.apache.http.impl.client.CloseableHttpClient;
import org.apache.http.impl.client.DefaultHttpRequestRetryHandler;
import org.apache.http.impl.client.HttpClients;
import org.apache.http.impl.conn.PoolingHttpClientConnectionManager;
import org.apache.http.protocol.HttpContext;
import org.apache.http.util.EntityUtils;

/**
 * A pool whose connections lie idle for longer than the server keeps them.
 *
 * <p>PoolClient URL SIZE blind|validate
 *
 * <p>validate: a pooled connection is looked at before it is used again; blind: it is not. Each line of
 * standard input is a round of SIZE requests at once, so that each uses a connection of its own; the
 * answer is "ok DONE FAILED" and what each try that had to be made again ended with.
 */
public final class PoolClient {
    private final List<String> retried = new CopyOnWriteArrayList<>();
    private final CloseableHttpClient client;
    private final ExecutorService threads;
    private final String url;
    private final int size;

    private PoolClient(String url, int size, boolean validates) {
        PoolingHttpClientConnectionManager pool = new PoolingHttpClientConnectionManager();
        pool.setMaxTotal(size);
        pool.setDefaultMaxPerRoute(size);
        pool.setValidateAfterInactivity(validates ? 1 : -1);
        this.url = url;
        this.size = size;
        this.threads = Executors.newFixedThreadPool(size);
        this.client = HttpClients.custom()
                .setConnectionManager(pool)
                .setRetryHandler(new DefaultHttpRequestRetryHandler(3, false) {
                    @Override
                    public boolean retryRequest(IOException e, int count, HttpContext context) {
                        retried.add(e.getClass().getSimpleName() + ":" + e.getMessage());
                        return super.retryRequest(e, count, context);
                    }
                })
                .build();
    }

    private boolean fetch(CountDownLatch all) throws Exception {
        try (CloseableHttpResponse response = client.execute(new HttpGet(url))) {
            all.countDown();
            all.await(); // nobody gives a connection back before each has one
            return EntityUtils.toString(response.getEntity()).equals("ok\n");
        } catch (IOException e) {
            all.countDown();
            return false;
        }
    }

    private void round() throws Exception {
        CountDownLatch all = new CountDownLatch(size);
        Callable<Boolean> one = () -> fetch(all);
        int done = 0;
        for (Future<Boolean> result : threads.invokeAll(java.util.Collections.nCopies(size, one))) {
            done += result.get() ? 1 : 0;
        }
        String errors = String.join("|", retried).replace(' ', '_');
        System.out.println("ok " + done + " " + (size - done) + " " + (errors.isEmpty() ? "-" : errors));
        retried.clear();
    }

    public static void main(String[] args) throws Exception {
        PoolClient pool = new PoolClient(args[0], Integer.parseInt(args[1]), args[2].equals("validate"));
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        System.out.println("ready");
        while (in.readLine() != null) {
            pool.round();
        }
        pool.threads.shutdown();
    }
}
