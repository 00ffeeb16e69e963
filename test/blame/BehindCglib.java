import java.io.IOException;
import java.net.Socket;
import java.util.ArrayList;
import java.util.List;
import net.sf.cglib.proxy.Enhancer;
import net.sf.cglib.proxy.MethodInterceptor;

/** A class behind a proxy that CGLIB has made, as Spring makes them. BehindCglib PORT. */
public class BehindCglib {
    private static final List<Object> kept = new ArrayList<>();

    public Socket open(int port) throws IOException {
        return new Socket("127.0.0.1", port); // BLAME BehindCglib.open
    }

    public static void main(String[] args) throws Exception {
        Enhancer enhancer = new Enhancer();
        enhancer.setSuperclass(BehindCglib.class);
        enhancer.setCallback(
                (MethodInterceptor) (self, method, arguments, proxy) -> proxy.invokeSuper(self, arguments));
        BehindCglib behind = (BehindCglib) enhancer.create();
        kept.add(behind.open(Integer.parseInt(args[0])));
        System.out.println("ready");
        while (System.in.read() >= 0) {
            continue;
        }
    }
}
