import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;

/** PostgreSQL's JDBC driver: statement and result are closed, their connection is not. */
public final class ForgottenPostgresql {
    private static final List<Connection> kept = new ArrayList<>();

    private static int query(String url) throws Exception {
        Connection connection = DriverManager.getConnection(url); // LEAK
        kept.add(connection);
        try (Statement statement = connection.createStatement();
                ResultSet result = statement.executeQuery("SELECT 42")) {
            result.next();
            return result.getInt(1);
        }
    }

    public static void main(String[] args) throws Exception {
        for (int i = 0; i < 1000; i++) {
            query(args[0]);
            Thread.sleep(100);
        }
    }
}
