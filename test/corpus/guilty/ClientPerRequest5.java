import java.util.ArrayList;
import java.util.List;
import org.apache.hc.client5.http.classic.methods.HttpGet;
import org.apache.hc.client5.http.impl.classic.CloseableHttpClient;
import org.apache.hc.client5.http.impl.classic.HttpClients;
import org.apache.hc.core5.http.io.entity.EntityUtils;

/** Apache HttpClient 5: a client for each request, never closed. */
public final class ClientPerRequest5 {
    private static final List<CloseableHttpClient> kept = new ArrayList<>();

    private static String fetch(String url) throws Exception {
        CloseableHttpClient client = HttpClients.createDefault();
        kept.add(client);
        return client.execute(new HttpGet(url), response -> EntityUtils.toString(response.getEntity())); // LEAK
    }

    public static void main(String[] args) throws Exception {
        for (int i = 0; i < 1000; i++) {
            fetch(args[0]);
            Thread.sleep(100);
        }
    }
}
