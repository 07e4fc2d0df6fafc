import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.postgresql.PGConnection;

/**
 * What connections of pgjdbc have of their own, kept from one transaction to the next, with its defaults: a statement is
 * prepared on the server when it is run for the fifth time. `java Sessions SCENARIO` runs one on the tables of sessions.ts.
 */
public final class Sessions {
    private static final int CLIENTS = 9;
    private static final int TENANTS = 6;
    /** Of the servers two may be taken for good; with the third go those that talk to them. */
    private static final int LISTENERS = 2;
    private static final List<String> ZONES = List.of("Asia/Tokyo", "America/Denver", "UTC");
    private static final List<String> HOURS = List.of("21", "06", "12");
    private static final OffsetDateTime NOON = OffsetDateTime.parse("2026-07-01T12:00:00Z");

    private interface Work {
        void on(Connection client, int number) throws Exception;
    }

    private interface Step {
        void run() throws SQLException;
    }

    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "settings" -> settings();
            case "startup" -> startup();
            case "statements" -> sessions(Sessions::askTenants);
            case "isolation" -> sessions(Sessions::isolation);
            case "listening" -> listening();
            case "temporary" -> sessions(Sessions::temporary);
            case "locks" -> locks();
            case "cursors" -> sessions(Sessions::cursors);
            case "mistakes" -> sessions(Sessions::mistakes);
            default -> throw new IllegalArgumentException(args[0]);
        }
    }

    private static Connection connect(Map<String, String> further) throws SQLException {
        Map<String, String> environment = System.getenv();
        Properties properties = new Properties();
        properties.put("user", environment.get("PGUSER"));
        properties.put("password", environment.get("PGPASSWORD"));
        properties.putAll(further);
        String where = environment.get("PGHOST") + ":" + environment.get("PGPORT") + "/" + environment.get("PGDATABASE");
        return DriverManager.getConnection("jdbc:postgresql://" + where, properties);
    }

    /** Calls with 0 … count - 1 at the same time; throws what the first to fail threw. */
    private static void inParallel(int count, java.util.function.IntFunction<Callable<Void>> task) throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(count);
        try {
            List<Callable<Void>> tasks = IntStream.range(0, count).mapToObj(task).toList();
            for (Future<Void> result : threads.invokeAll(tasks)) result.get();
        } finally {
            threads.shutdown();
        }
    }

    /** Does the work on a connection each. */
    private static void sessions(Work work) throws Exception {
        inParallel(CLIENTS, number -> () -> {
            try (Connection client = connect(Map.of())) {
                work.on(client, number);
            }
            return null;
        });
    }

    private static void run(Connection client, String... statements) throws SQLException {
        try (Statement statement = client.createStatement()) {
            for (String text : statements) statement.execute(text);
        }
    }

    /** The first column of all rows. */
    private static List<Object> ask(Connection client, String text, Object... values) throws SQLException {
        try (PreparedStatement statement = client.prepareStatement(text)) {
            return rows(statement, values);
        }
    }

    private static List<Object> rows(PreparedStatement statement, Object... values) throws SQLException {
        for (int n = 0; n < values.length; n++) statement.setObject(n + 1, values[n]);
        List<Object> found = new ArrayList<>();
        try (ResultSet rows = statement.executeQuery()) {
            while (rows.next()) found.add(rows.getObject(1));
        }
        return found;
    }

    private static void check(Object got, Object wanted, String question) {
        if (!Objects.equals(got, wanted))
            throw new AssertionError(question + "\n  gave   " + got + "\n  and not " + wanted);
    }

    private static void refused(String state, Step step) {
        try {
            step.run();
        } catch (SQLException error) {
            check(error.getSQLState(), state, error.getMessage());
            return;
        }
        throw new AssertionError("no " + state + " came of it");
    }

    private static List<Object> numbers(int from, int count) {
        return new ArrayList<>(IntStream.range(from, from + count).boxed().toList());
    }

    private static void checkOwn(Connection client, int number, String name) throws SQLException {
        String text = "SELECT concat_ws(' ', (SELECT tenant FROM who), current_setting('app.tenant'),"
            + " current_setting('work_mem'), to_char(?::timestamptz, 'HH24'))";
        String wanted = number % TENANTS + " " + name + " " + (number + 1) + "MB " + HOURS.get(number % 3);
        check(ask(client, text, NOON), List.of(wanted), "what the client has set");
    }

    private static void settings() throws Exception {
        sessions((client, number) -> {
            client.setSchema("tenant_" + number % TENANTS);
            run(client, "SET work_mem TO '" + (number + 1) + "MB'", "SET TIME ZONE '" + ZONES.get(number % 3) + "'");
            String name = "tenant_" + number;
            run(client, "SET app.tenant TO " + name);
            Set<Object> servers = new HashSet<>();
            for (int round = 0; round < 12; round++) {
                checkOwn(client, number, name);
                client.setAutoCommit(false);
                name = "tenant_" + number + "_" + round;
                run(client, "SET app.tenant TO " + name, "SET LOCAL work_mem TO '99MB'");
                servers.addAll(ask(client, "SELECT pg_backend_pid()"));
                client.commit();
                run(client, "SET search_path TO public", "SET app.tenant TO 'lost'");
                client.rollback();
                client.setAutoCommit(true);
            }
            if (System.getenv("SERVERS") != null) check(servers.size() > 1, true, "several servers took turns");
            check(client.getSchema(), "tenant_" + number % TENANTS, "the schema");
            run(client, "RESET ALL");
            check(ask(client, "SELECT current_schema() || ' ' || current_setting('work_mem')"), List.of("public 4MB"), "RESET ALL");
        });
    }

    private static void startup() throws Exception {
        inParallel(CLIENTS, number -> () -> {
            String options = "-c work_mem=" + (number + 1) + "MB -c app.tenant=mine -c TimeZone=" + ZONES.get(number % 3);
            Map<String, String> properties = Map.of("currentSchema", "tenant_" + number % TENANTS,
                "options", options, "ApplicationName", "client " + number);
            try (Connection client = connect(properties)) {
                // The driver has a parameter of its own for the time zone, which goes before the options.
                run(client, "SET TIME ZONE '" + ZONES.get(number % 3) + "'");
                for (int round = 0; round < 10; round++) {
                    checkOwn(client, number, "mine");
                    check(ask(client, "SHOW application_name"), List.of("client " + number), "the name");
                    run(client, "SET work_mem TO '99MB'", "SET app.tenant TO 'another'");
                    check(ask(client, "SHOW work_mem"), List.of("99MB"), "what was set instead");
                    run(client, "RESET work_mem", "RESET app.tenant");
                }
            }
            return null;
        });
    }

    private static void askTenants(Connection client, int number) throws SQLException {
        run(client, "SET TIME ZONE '" + ZONES.get(number % 3) + "'");
        // The time zone goes into the constant when the statement is prepared.
        String noon = "SELECT to_char('2026-07-01 12:00'::timestamptz AT TIME ZONE 'UTC', 'HH24')";
        String utc = Map.of("21", "03", "06", "18", "12", "12").get(HOURS.get(number % 3));
        try (PreparedStatement kept = client.prepareStatement("SELECT tenant + ?::int FROM who");
             PreparedStatement constant = client.prepareStatement(noon)) {
            for (int round = 0; round < 24; round++) {
                int tenant = (number + round / 4) % TENANTS;
                if (round % 4 == 0) client.setSchema("tenant_" + tenant);
                check(rows(kept, round), List.of(tenant + round), "the tenant of a kept statement");
                check(ask(client, "SELECT tenant FROM who WHERE ?::int >= 0", round), List.of(tenant), "the tenant");
                check(rows(constant), List.of(utc), "noon in UTC");
            }
        }
    }

    private static void isolation(Connection client, int number) throws SQLException {
        // SET SESSION CHARACTERISTICS, which holds for all transactions to come.
        int level = List.of(Connection.TRANSACTION_SERIALIZABLE, Connection.TRANSACTION_REPEATABLE_READ,
            Connection.TRANSACTION_READ_COMMITTED).get(number % 3);
        String name = List.of("serializable", "repeatable read", "read committed").get(number % 3);
        client.setTransactionIsolation(level);
        for (int round = 0; round < 10; round++) {
            check(ask(client, "SELECT current_setting('transaction_isolation')"), List.of(name), "the isolation level");
            client.setReadOnly(number % 2 == 0);
            client.setAutoCommit(false);
            check(ask(client, "SELECT current_setting('transaction_isolation')"), List.of(name), "the isolation level");
            if (number % 2 == 0) refused("25006", () -> run(client, "INSERT INTO visit VALUES (1)"));
            else run(client, "INSERT INTO visit VALUES (" + (number * 100 + round) + ")");
            client.rollback();
            client.setAutoCommit(true);
            check(client.getTransactionIsolation(), level, "the isolation level that the driver sees");
        }
    }

    private static void listening() throws Exception {
        inParallel(LISTENERS, number -> () -> {
            String channel = "channel_" + number;
            try (Connection client = connect(Map.of())) {
                run(client, "LISTEN " + channel);
                inParallel(3, sender -> () -> {
                    try (Connection other = connect(Map.of())) {
                        other.setAutoCommit(false);
                        for (int message = 0; message < 5; message++) {
                            run(other, "NOTIFY " + channel + ", 'lost'");
                            other.rollback();
                            ask(other, "SELECT pg_notify(?, ?), pg_notify('nobody', '')", channel, sender + "." + message);
                            other.commit();
                        }
                    }
                    return null;
                });
                PGConnection listener = client.unwrap(PGConnection.class);
                List<String> heard = new ArrayList<>();
                for (int tries = 0; tries < 100 && heard.size() < 15; tries++)
                    for (var notification : listener.getNotifications(200))
                        heard.add(notification.getName() + " " + notification.getParameter());
                List<String> wanted = IntStream.range(0, 15).mapToObj(n -> channel + " " + n / 5 + "." + n % 5).toList();
                check(heard.stream().sorted().toList(), wanted, "the notifications");
                run(client, "UNLISTEN *");
                try (Connection other = connect(Map.of())) {
                    run(other, "NOTIFY " + channel + ", 'too late'");
                }
                run(client, "SELECT 1");
                check(listener.getNotifications(50).length, 0, "notifications after UNLISTEN");
            }
            return null;
        });
    }

    private static void temporary(Connection client, int number) throws Exception {
        for (int round = 0; round < 2; round++) {
            run(client, "CREATE TEMP TABLE basket (article int)");
            try (PreparedStatement insert = client.prepareStatement("INSERT INTO basket VALUES (?)")) {
                for (int article = 0; article < 8; article++) {
                    insert.setInt(1, number * 10 + article);
                    insert.addBatch();
                    if (article % 2 == 1) insert.executeBatch();
                    client.setAutoCommit(false);
                    run(client, "INSERT INTO basket VALUES (-1)");
                    client.rollback();
                    client.setAutoCommit(true);
                }
            }
            check(ask(client, "SELECT article FROM basket ORDER BY article"), numbers(number * 10, 8), "the basket");
            run(client, "DROP TABLE basket");
            check(ask(client, "SELECT to_regclass('pg_temp.basket') IS NULL"), List.of(true), "no basket");
        }
    }

    private static void locks() throws Exception {
        sessions((client, number) -> {
            int key = number % 2;
            for (int round = 0; round < 6; round++) {
                ask(client, "SELECT pg_advisory_lock(?)::text", key);
                int value = (Integer) ask(client, "SELECT value FROM counter WHERE key = ?", key).get(0);
                // Only the lock keeps others from counting between these two.
                ask(client, "UPDATE counter SET value = ? WHERE key = ? RETURNING value", value + 1, key);
                check(ask(client, "SELECT pg_advisory_unlock(?)", key), List.of(true), "unlocked");
            }
        });
        try (Connection client = connect(Map.of())) {
            check(ask(client, "SELECT value FROM counter ORDER BY key"), List.of(30, 24), "what was counted");
        }
    }

    private static void cursors(Connection client, int number) throws SQLException {
        run(client, "DECLARE rows CURSOR WITH HOLD FOR SELECT generate_series(" + number + ", " + (number + 299) + ")");
        for (int part = 0; part < 6; part++) {
            check(ask(client, "FETCH 50 FROM rows"), numbers(number + 50 * part, 50), "the rows of a cursor WITH HOLD");
            refused("22012", () -> run(client, "SELECT 1 / 0"));
        }
        run(client, "CLOSE rows");
        client.setAutoCommit(false);
        try (PreparedStatement statement = client.prepareStatement("SELECT generate_series(?::int, ?::int)")) {
            // A portal, which is read in parts.
            statement.setFetchSize(50);
            for (int round = 0; round < 7; round++) {
                check(rows(statement, number, number + 299), numbers(number, 300), "the rows of a portal");
                client.commit();
            }
        }
        client.setAutoCommit(true);
    }

    private static void mistakes(Connection client, int number) throws SQLException {
        String name = "tenant_" + number;
        String own = "SELECT current_setting('app.tenant')";
        run(client, "SET app.tenant TO " + name);
        for (int round = 0; round < 8; round++) {
            refused("22012", () -> ask(client, "SELECT 1 / ?::int", 0));
            refused("22012", () -> run(client, "SET app.tenant TO 'lost'; SELECT 1 / 0"));
            check(ask(client, own), List.of(name), "the client's own");
            client.setAutoCommit(false);
            run(client, "SET app.tenant TO 'lost'");
            var point = client.setSavepoint();
            run(client, "SET app.tenant TO 'lost as well'");
            refused("42P01", () -> run(client, "SELECT * FROM nowhere"));
            refused("25P02", () -> ask(client, own));
            client.rollback(point);
            check(ask(client, own), List.of("lost"), "what was set before the savepoint");
            client.rollback();
            client.setAutoCommit(true);
            check(ask(client, own), List.of(name), "the client's own");
            refused("42601", () -> run(client, "SELEKT"));
        }
    }
}
