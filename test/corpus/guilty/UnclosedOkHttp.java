import java.util.ArrayList;
import java.util.List;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.Response;

/** OkHttp: the status is all that is wanted, and the response is not closed. */
public final class UnclosedOkHttp {
    private static final List<Response> kept = new ArrayList<>();

    private static int fetch(OkHttpClient client, String url) throws Exception {
        Response response = client.newCall(new Request.Builder().url(url).build()).execute(); // LEAK
        kept.add(response);
        return response.code();
    }

    public static void main(String[] args) throws Exception {
        OkHttpClient client = new OkHttpClient();
        for (int i = 0; i < 1000; i++) {
            fetch(client, args[0]);
            Thread.sleep(100);
        }
    }
}
