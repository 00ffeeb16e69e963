import java.io.IOException;
import java.util.concurrent.CountDownLatch;
import okhttp3.Call;
import okhttp3.Callback;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.Response;

/** OkHttp, half of the calls waited for, half answered to a callback; no response is closed. AsyncOkHttp PORT COUNT. */
public final class AsyncOkHttp {
    private AsyncOkHttp() {}

    public static void main(String[] args) throws Exception {
        int count = Integer.parseInt(args[1]);
        CountDownLatch answered = new CountDownLatch(count / 2);
        Response[] kept = new Response[count];
        Request request = new Request.Builder().url("http://127.0.0.1:" + args[0] + "/").build();
        for (int i = 0; i < count; i += 2) {
            kept[i] = new OkHttpClient().newCall(request).execute(); // BLAME AsyncOkHttp.main
        }
        for (int i = 1; i < count; i += 2) {
            int at = i;
            new OkHttpClient()
                    .newCall(request)
                    .enqueue(
                            new Callback() {
                                @Override
                                public void onFailure(Call call, IOException e) {
                                    throw new IllegalStateException(e);
                                }

                                @Override
                                public void onResponse(Call call, Response response) {
                                    kept[at] = response;
                                    answered.countDown();
                                }
                            });
        }
        answered.await();
        System.out.println("ready");
        while (System.in.read() >= 0) {
            continue;
        }
        System.exit(0);
    }
}
