import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;

/** The JDK's own client, answered asynchronously. AsyncJdk PORT COUNT. */
public final class AsyncJdk {
    private AsyncJdk() {}

    public static void main(String[] args) throws Exception {
        int count = Integer.parseInt(args[1]);
        CountDownLatch answered = new CountDownLatch(count);
        List<HttpClient> kept = new ArrayList<>();
        HttpRequest request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + args[0] + "/")).build();
        for (int i = 0; i < count; i++) {
            HttpClient client = HttpClient.newHttpClient();
            kept.add(client);
            client.sendAsync(request, HttpResponse.BodyHandlers.ofInputStream()) // CALL
                    .thenAccept(response -> answered.countDown());
        }
        answered.await();
        System.out.println("ready");
        while (System.in.read() >= 0) {
            continue;
        }
    }
}
