import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;

/** java.net.http: the body as a stream, which is neither read nor closed. */
public final class UnreadJdkClient {
    private static final List<InputStream> kept = new ArrayList<>();

    private static int fetch(HttpClient client, String url) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(url)).build();
        HttpResponse<InputStream> response = client.send(request, HttpResponse.BodyHandlers.ofInputStream()); // LEAK
        kept.add(response.body());
        return response.statusCode();
    }

    public static void main(String[] args) throws Exception {
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        for (int i = 0; i < 1000; i++) {
            fetch(client, args[0]);
            Thread.sleep(100);
        }
    }
}
