import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/** java.net.Socket: a connection for each key, put aside and never looked at again. */
public final class ForgottenSocket {
    private static final Map<String, Socket> sockets = new HashMap<>();

    private static String get(String key, String host, int port) throws Exception {
        Socket socket = new Socket(host, port); // LEAK
        sockets.put(key, socket);
        socket.getOutputStream().write(("GET " + key + "\r\n").getBytes(StandardCharsets.US_ASCII));
        return new BufferedReader(new InputStreamReader(socket.getInputStream(), StandardCharsets.US_ASCII)).readLine();
    }

    public static void main(String[] args) throws Exception {
        for (int i = 0; i < 1000; i++) {
            get("key-" + i, args[0], Integer.parseInt(args[1]));
            Thread.sleep(100);
        }
    }
}
