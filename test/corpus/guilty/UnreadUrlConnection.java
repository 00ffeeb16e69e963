import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URL;
import java.util.ArrayList;
import java.util.List;

/** HttpURLConnection: the body's stream is opened, and neither read nor closed. */
public final class UnreadUrlConnection {
    private static final List<InputStream> kept = new ArrayList<>();

    private static int fetch(String url) throws Exception {
        HttpURLConnection connection = (HttpURLConnection) new URL(url).openConnection();
        kept.add(connection.getInputStream()); // LEAK
        return connection.getResponseCode();
    }

    public static void main(String[] args) throws Exception {
        for (int i = 0; i < 1000; i++) {
            fetch(args[0]);
            Thread.sleep(100);
        }
    }
}
