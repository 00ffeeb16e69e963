import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.apache.http.client.methods.HttpGet;
import org.apache.http.impl.client.CloseableHttpClient;
import org.apache.http.impl.client.HttpClients;
import org.apache.http.util.EntityUtils;

/** Apache HttpClient 4.5: a client for each request, closed late, but always. */
public final class ReapedClients {
    private static void close(CloseableHttpClient client) {
        try {
            client.close();
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    private static String fetch(String url, ScheduledExecutorService reaper) throws Exception {
        CloseableHttpClient client = HttpClients.createDefault();
        reaper.schedule(() -> close(client), 5, TimeUnit.SECONDS);
        return EntityUtils.toString(client.execute(new HttpGet(url)).getEntity()); // SLOW
    }

    public static void main(String[] args) throws Exception {
        ScheduledExecutorService reaper = Executors.newSingleThreadScheduledExecutor();
        for (int i = 0; i < 500; i++) {
            fetch(args[0], reaper);
            Thread.sleep(100);
        }
        reaper.shutdown();
    }
}
