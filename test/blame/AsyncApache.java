import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.CountDownLatch;
import org.apache.http.HttpResponse;
import org.apache.http.impl.nio.client.CloseableHttpAsyncClient;
import org.apache.http.impl.nio.client.HttpAsyncClients;
import org.apache.http.nio.IOControl;
import org.apache.http.nio.client.methods.AsyncByteConsumer;
import org.apache.http.nio.client.methods.HttpAsyncMethods;
import org.apache.http.protocol.HttpContext;

/** Apache HttpAsyncClient whose consumer stops reading and never goes on. AsyncApache PORT COUNT. */
public final class AsyncApache {
    private AsyncApache() {}

    private static final class Stopping extends AsyncByteConsumer<Void> {
        private final CountDownLatch answered;

        Stopping(CountDownLatch answered) {
            this.answered = answered;
        }

        @Override
        protected void onByteReceived(ByteBuffer bytes, IOControl control) throws IOException {
            control.suspendInput();
            answered.countDown();
        }

        @Override
        protected void onResponseReceived(HttpResponse response) {}

        @Override
        protected Void buildResult(HttpContext context) {
            return null;
        }
    }

    public static void main(String[] args) throws Exception {
        int count = Integer.parseInt(args[1]);
        CountDownLatch answered = new CountDownLatch(count);
        CloseableHttpAsyncClient client =
                HttpAsyncClients.custom().setMaxConnPerRoute(count).setMaxConnTotal(count).build();
        client.start();
        for (int i = 0; i < count; i++) {
            client.execute(
                    HttpAsyncMethods.createGet("http://127.0.0.1:" + args[0] + "/"), new Stopping(answered), null);
        }
        answered.await();
        System.out.println("ready");
        while (System.in.read() >= 0) {
            continue;
        }
        client.close();
    }
}
