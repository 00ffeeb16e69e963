import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;

/** {@code Requester PORT}: for each line N on standard input, N requests, each on a connection of its own; prints what Commands says. */
public final class Requester {
    private static void request(URI place) throws IOException {
        HttpURLConnection connection = (HttpURLConnection) place.toURL().openConnection();
        try (InputStream in = connection.getInputStream()) {
            in.readAllBytes();
        }
    }

    public static void main(String[] args) throws IOException {
        URI place = URI.create("http://127.0.0.1:" + args[0] + "/");
        Commands.forEach(n -> {
            for (int i = 0; i < n; i++) {
                request(place);
            }
        });
    }
}
