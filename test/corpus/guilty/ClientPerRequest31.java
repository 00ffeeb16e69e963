import java.util.ArrayList;
import java.util.List;
import org.apache.commons.httpclient.HttpClient;
import org.apache.commons.httpclient.MultiThreadedHttpConnectionManager;
import org.apache.commons.httpclient.methods.GetMethod;

/** Apache HttpClient 3.1: a connection manager for each request, never shut down. */
public final class ClientPerRequest31 {
    private static final List<HttpClient> kept = new ArrayList<>();

    private static void fetch(String url) throws Exception {
        HttpClient client = new HttpClient(new MultiThreadedHttpConnectionManager());
        kept.add(client);
        GetMethod get = new GetMethod(url);
        client.executeMethod(get); // LEAK
        get.getResponseBody();
        get.releaseConnection(); // to the pool, which nobody uses again
    }

    public static void main(String[] args) throws Exception {
        for (int i = 0; i < 1000; i++) {
            fetch(args[0]);
            Thread.sleep(100);
        }
    }
}
