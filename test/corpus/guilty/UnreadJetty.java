import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.eclipse.jetty.client.HttpClient;
import org.eclipse.jetty.client.util.InputStreamResponseListener;

/** Jetty's client: the status is all that is wanted, and the stream of the body is neither read nor closed. */
public final class UnreadJetty {
    private static final List<InputStream> kept = new ArrayList<>();

    private static int fetch(HttpClient client, String url) throws Exception {
        InputStreamResponseListener listener = new InputStreamResponseListener();
        client.newRequest(url).send(listener);
        int status = listener.get(10, TimeUnit.SECONDS).getStatus();
        kept.add(listener.getInputStream());
        return status;
    }

    public static void main(String[] args) throws Exception {
        HttpClient client = new HttpClient();
        client.setMaxConnectionsPerDestination(1000);
        client.start();
        for (int i = 0; i < 1000; i++) {
            fetch(client, args[0]);
            Thread.sleep(100);
        }
        client.stop();
    }
}
