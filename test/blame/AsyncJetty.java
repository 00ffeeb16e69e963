import java.util.concurrent.CountDownLatch;
import org.eclipse.jetty.client.HttpClient;

/** Jetty's client, whose content is not asked for. AsyncJetty PORT COUNT. */
public final class AsyncJetty {
    private AsyncJetty() {}

    public static void main(String[] args) throws Exception {
        int count = Integer.parseInt(args[1]);
        CountDownLatch answered = new CountDownLatch(count);
        HttpClient client = new HttpClient();
        client.setMaxConnectionsPerDestination(count);
        client.start();
        for (int i = 0; i < count; i++) {
            client.newRequest("http://127.0.0.1:" + args[0] + "/")
                    .onResponseContentDemanded((response, demand, content, callback) -> answered.countDown())
                    .send(result -> {});
        }
        answered.await();
        System.out.println("ready");
        while (System.in.read() >= 0) {
            continue;
        }
        client.stop();
    }
}
