import java.util.concurrent.Future;
import org.apache.http.HttpEntity;
import org.apache.http.HttpResponse;
import org.apache.http.entity.ContentType;
import org.apache.http.impl.nio.client.CloseableHttpAsyncClient;
import org.apache.http.impl.nio.client.HttpAsyncClientBuilder;
import org.apache.http.nio.ContentDecoder;
import org.apache.http.nio.IOControl;
import org.apache.http.nio.client.methods.HttpAsyncMethods;
import org.apache.http.nio.protocol.AbstractAsyncResponseConsumer;
import org.apache.http.protocol.HttpContext;

/** Apache HttpAsyncClient: a consumer holds the input back, and never lets it go on. */
public final class SuspendedAsync {
    private static final class Slow extends AbstractAsyncResponseConsumer<Void> {
        @Override
        protected void onResponseReceived(HttpResponse response) {}

        @Override
        protected void onEntityEnclosed(HttpEntity entity, ContentType type) {}

        @Override
        protected void onContentReceived(ContentDecoder decoder, IOControl control) {
            control.suspendInput(); // requestInput() is what is missing
        }

        @Override
        protected Void buildResult(HttpContext context) {
            return null;
        }

        @Override
        protected void releaseResources() {}
    }

    private static Future<Void> fetch(CloseableHttpAsyncClient client, String url) {
        return client.execute(HttpAsyncMethods.createGet(url), new Slow(), null);
    }

    public static void main(String[] args) throws Exception {
        HttpAsyncClientBuilder builder = HttpAsyncClientBuilder.create();
        try (CloseableHttpAsyncClient client = builder.setMaxConnPerRoute(1000).setMaxConnTotal(1000).build()) {
            client.start();
            for (int i = 0; i < 1000; i++) {
                fetch(client, args[0]);
                Thread.sleep(100);
            }
        }
    }
}
