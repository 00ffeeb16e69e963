import java.util.ArrayList;
import java.util.List;
import org.apache.http.HttpResponse;
import org.apache.http.client.methods.HttpGet;
import org.apache.http.impl.client.CloseableHttpClient;
import org.apache.http.impl.client.HttpClients;
import org.apache.http.util.EntityUtils;

/** Apache HttpClient 4.5: a client for each request, never closed. */
public final class ClientPerRequest45 {
    private static final List<CloseableHttpClient> kept = new ArrayList<>();

    private static String fetch(String url) throws Exception {
        CloseableHttpClient client = HttpClients.createDefault();
        kept.add(client);
        HttpResponse response = client.execute(new HttpGet(url)); // LEAK
        return EntityUtils.toString(response.getEntity());
    }

    public static void main(String[] args) throws Exception {
        for (int i = 0; i < 1000; i++) {
            fetch(args[0]);
            Thread.sleep(100);
        }
    }
}
