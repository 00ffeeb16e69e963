import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Collections;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.http.client.methods.CloseableHttpResponse;
import org.apache.http.client.methods.HttpGet;
import org.apache.http.impl.client.CloseableHttpClient;
import org.apache.http.impl.client.HttpClients;
import org.apache.http.impl.conn.PoolingHttpClientConnectionManager;
import org.apache.http.util.EntityUtils;

/** Apache HttpClient 4.5: a pool of 20 connections that lie idle for longer than the server keeps them, and are then
 * looked at before they are used again. Each line of standard input is a round of 20 requests at once. */
public final class HttpPool {
    private static final int SIZE = 20;

    private static Integer fetch(CloseableHttpClient client, String url, CountDownLatch all) throws Exception {
        try (CloseableHttpResponse response = client.execute(new HttpGet(url))) { // POOL
            all.countDown();
            all.await(); // nobody gives a connection back before each has one
            return EntityUtils.toString(response.getEntity()).length();
        }
    }

    public static void main(String[] args) throws Exception {
        PoolingHttpClientConnectionManager pool = new PoolingHttpClientConnectionManager();
        pool.setMaxTotal(SIZE);
        pool.setDefaultMaxPerRoute(SIZE);
        pool.setValidateAfterInactivity(1);
        ExecutorService threads = Executors.newFixedThreadPool(SIZE);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        try (CloseableHttpClient client = HttpClients.custom().setConnectionManager(pool).build()) {
            while (in.readLine() != null) {
                CountDownLatch all = new CountDownLatch(SIZE);
                Callable<Integer> one = () -> fetch(client, args[0], all);
                for (Future<Integer> result : threads.invokeAll(Collections.nCopies(SIZE, one))) {
                    result.get();
                }
                System.out.println("ok");
            }
        }
        threads.shutdown();
    }
}
