import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** MariaDB's JDBC driver: a cache of connections by tenant, from which nothing is ever taken out. */
public final class ForgottenMariaDb {
    private static final Map<String, Connection> cache = new ConcurrentHashMap<>();

    private static Connection open(String url) {
        try {
            return DriverManager.getConnection(url); // LEAK
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    private static int count(String tenant, String url) throws Exception {
        Connection connection = cache.computeIfAbsent(tenant, unused -> open(url));
        try (PreparedStatement statement = connection.prepareStatement("SELECT length(?)")) {
            statement.setString(1, tenant);
            try (ResultSet result = statement.executeQuery()) {
                result.next();
                return result.getInt(1);
            }
        }
    }

    public static void main(String[] args) throws Exception {
        for (int i = 0; i < 1000; i++) {
            count("tenant-" + i, args[0]);
            Thread.sleep(100);
        }
    }
}
