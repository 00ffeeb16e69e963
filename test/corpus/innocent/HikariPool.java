import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;

/** HikariCP over PostgreSQL's JDBC driver: 12 sessions that the server ends when they are idle; the pool finds that out when
 * they are asked for. Each line of standard input is a round that uses all of them. */
public final class HikariPool {
    private static final int SIZE = 12;

    private static void round(HikariDataSource pool) throws Exception {
        List<Connection> all = new ArrayList<>();
        for (int i = 0; i < SIZE; i++) {
            Connection connection = pool.getConnection();
            all.add(connection);
            try (Statement statement = connection.createStatement();
                    ResultSet result = statement.executeQuery("SELECT 42")) {
                result.next();
            }
        }
        for (Connection connection : all) {
            connection.close(); // gives it back
        }
    }

    public static void main(String[] args) throws Exception {
        HikariConfig config = new HikariConfig();
        config.setJdbcUrl(args[0]);
        config.setMaximumPoolSize(SIZE);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        try (HikariDataSource pool = new HikariDataSource(config)) {
            while (in.readLine() != null) {
                round(pool);
                System.out.println("ok");
            }
        }
    }
}
