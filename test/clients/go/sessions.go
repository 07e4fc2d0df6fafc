package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

var zones = []string{"Asia/Tokyo", "America/Denver", "UTC"}
var hours = []string{"21", "06", "12"}
var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func schema(tenant int) string { return fmt.Sprintf("tenant_%d", tenant%tenants) }

// checkOwn asks for everything that a client has set.
func checkOwn(ctx context.Context, client *pgx.Conn, n int, name string) error {
	wanted := fmt.Sprintf("%d %s %dMB %s", n%tenants, name, n+1, hours[n%3])
	return check(ctx, client, []string{wanted}, `SELECT concat_ws(' ', (SELECT tenant FROM who), current_setting('app.tenant'),
		current_setting('work_mem'), to_char($1::timestamptz, 'HH24'))`, noon)
}

func settings(ctx context.Context) error {
	return sessions(ctx, func(ctx context.Context, client *pgx.Conn, n int) error {
		name, servers := fmt.Sprintf("tenant_%d", n), map[int]bool{}
		err := exec(ctx, client, "SET search_path TO "+schema(n), "SET app.tenant TO "+name,
			fmt.Sprintf("SET work_mem TO '%dMB'", n+1))
		if err != nil {
			return err
		}
		if _, err := client.Exec(ctx, "SELECT set_config('TimeZone', $1, false)", zones[n%3]); err != nil {
			return err
		}
		for round := range 12 {
			if err := checkOwn(ctx, client, n, name); err != nil {
				return err
			}
			name = fmt.Sprintf("tenant_%d_%d", n, round)
			err := pgx.BeginFunc(ctx, client, func(tx pgx.Tx) error {
				var server int
				if err := tx.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&server); err != nil {
					return err
				}
				servers[server] = true
				return exec(ctx, tx, "SET app.tenant TO "+name, "SET LOCAL work_mem TO '99MB'")
			})
			if err != nil {
				return err
			}
			if err := exec(ctx, client, "BEGIN; SET search_path TO public; SET app.tenant TO 'lost'; ROLLBACK"); err != nil {
				return err
			}
		}
		if _, limited := os.LookupEnv("SERVERS"); limited && len(servers) < 2 {
			return errors.New("no servers took turns")
		}
		if err := exec(ctx, client, "RESET ALL"); err != nil {
			return err
		}
		return check(ctx, client, []string{"public 4MB"}, "SELECT current_schema() || ' ' || current_setting('work_mem')")
	})
}

// startup has everything in the startup packet, in `options` or by itself.
func startup(ctx context.Context) error {
	return inParallel(ctx, clients, func(ctx context.Context, n int) error {
		config, err := pgx.ParseConfig(fmt.Sprintf("options='-c search_path=%s -c work_mem=%dMB' timezone=%s",
			schema(n), n+1, zones[n%3]))
		if err != nil {
			return err
		}
		config.RuntimeParams["app.tenant"] = "mine"
		client, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			return err
		}
		defer client.Close(context.Background())
		for range 10 {
			if err := checkOwn(ctx, client, n, "mine"); err != nil {
				return err
			}
			if err := exec(ctx, client, "SET work_mem TO '99MB'", "SET app.tenant TO 'another'"); err != nil {
				return err
			}
			if err := check(ctx, client, []string{"99MB"}, "SELECT current_setting('work_mem')"); err != nil {
				return err
			}
			if err := exec(ctx, client, "RESET ALL"); err != nil {
				return err
			}
		}
		return nil
	})
}

func askTenants(ctx context.Context, client *pgx.Conn, n int) error {
	if _, err := client.Exec(ctx, "SELECT set_config('TimeZone', $1, false)", zones[n%3]); err != nil {
		return err
	}
	for round := range 20 {
		tenant := (n + round/4) % tenants
		if round%4 == 0 {
			if err := exec(ctx, client, "SET search_path TO "+schema(tenant)); err != nil {
				return err
			}
		}
		who := "SELECT format('%s %s', tenant, $1::int) FROM who"
		if err := check(ctx, client, []string{fmt.Sprintf("%d %d", tenant, round)}, who, round); err != nil {
			return err
		}
		// The time zone goes into the constant when the statement is prepared.
		utc := map[string]int{"21": 3, "06": 18, "12": 12}[hours[n%3]]
		constant := "SELECT extract(hour FROM '2026-07-01 12:00'::timestamptz AT TIME ZONE 'UTC')::int"
		if err := check(ctx, client, []int{utc}, constant); err != nil {
			return err
		}
	}
	return nil
}

func statements(ctx context.Context) error { return sessions(ctx, askTenants) }

// modes asks the same in every way that pgx has to run a statement.
func modes(ctx context.Context) error {
	all := []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe,
		pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol}
	return inParallel(ctx, 2*len(all), func(ctx context.Context, n int) error {
		config, err := pgx.ParseConfig("")
		if err != nil {
			return err
		}
		config.DefaultQueryExecMode = all[n%len(all)]
		client, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			return err
		}
		defer client.Close(context.Background())
		return askTenants(ctx, client, n)
	})
}

func listening(ctx context.Context) error {
	pool, err := pgxpool.New(ctx, "")
	if err != nil {
		return err
	}
	defer pool.Close()
	send := func(ctx context.Context, channel string, text string) error {
		err := exec(ctx, pool, "BEGIN; NOTIFY "+channel+", 'lost'; ROLLBACK")
		if err == nil {
			_, err = pool.Exec(ctx, "SELECT pg_notify($1, $2), pg_notify('nobody', $2)", channel, text)
		}
		return err
	}
	return inParallel(ctx, listeners, func(ctx context.Context, n int) error {
		listener, err := pgx.Connect(ctx, "")
		if err != nil {
			return err
		}
		defer listener.Close(context.Background())
		channel := fmt.Sprintf("channel_%d", n)
		if err := exec(ctx, listener, "LISTEN "+channel); err != nil {
			return err
		}
		sent := make(chan error, 1)
		go func() {
			sent <- inParallel(ctx, 3, func(ctx context.Context, sender int) error {
				for message := range 5 {
					if err := send(ctx, channel, fmt.Sprintf("%d.%d", sender, message)); err != nil {
						return err
					}
				}
				return nil
			})
		}()
		var heard, wanted []string
		for number := range 15 {
			notification, err := listener.WaitForNotification(ctx)
			if err != nil {
				return err
			}
			heard = append(heard, notification.Channel+" "+notification.Payload)
			wanted = append(wanted, fmt.Sprintf("%s %d.%d", channel, number/5, number%5))
		}
		if err := <-sent; err != nil {
			return err
		}
		slices.Sort(heard)
		if !slices.Equal(heard, wanted) {
			return fmt.Errorf("heard %v and not %v", heard, wanted)
		}
		if err := exec(ctx, listener, "UNLISTEN *"); err != nil {
			return err
		}
		if err := send(ctx, channel, "too late"); err != nil {
			return err
		}
		if err := exec(ctx, listener, "SELECT 1"); err != nil {
			return err
		}
		moment, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		if notification, err := listener.WaitForNotification(moment); err == nil {
			return fmt.Errorf("heard %v after UNLISTEN", notification)
		}
		return nil
	})
}

func temporary(ctx context.Context) error {
	return sessions(ctx, func(ctx context.Context, client *pgx.Conn, n int) error {
		for range 2 {
			if err := exec(ctx, client, "CREATE TEMP TABLE basket (article int)"); err != nil {
				return err
			}
			var articles []int
			for article := range 5 {
				articles = append(articles, n*10+article)
				if _, err := client.Exec(ctx, "INSERT INTO basket VALUES ($1)", articles[article]); err != nil {
					return err
				}
				if err := exec(ctx, client, "BEGIN; INSERT INTO basket VALUES (-1); ROLLBACK"); err != nil {
					return err
				}
			}
			copied, err := client.CopyFrom(ctx, pgx.Identifier{"basket"}, []string{"article"}, pgx.CopyFromRows([][]any{{n*10 + 5}}))
			if err != nil || copied != 1 {
				return fmt.Errorf("copied %d: %w", copied, err)
			}
			if err := check(ctx, client, append(articles, n*10+5), "SELECT article FROM basket ORDER BY article"); err != nil {
				return err
			}
			if err := exec(ctx, client, "DROP TABLE basket"); err != nil {
				return err
			}
			if err := check(ctx, client, []bool{true}, "SELECT to_regclass('pg_temp.basket') IS NULL"); err != nil {
				return err
			}
		}
		return nil
	})
}

func locks(ctx context.Context) error {
	err := sessions(ctx, func(ctx context.Context, client *pgx.Conn, n int) error {
		key := n % 2
		for range 5 {
			if _, err := client.Exec(ctx, "SELECT pg_advisory_lock($1)", key); err != nil {
				return err
			}
			var value int
			if err := client.QueryRow(ctx, "SELECT value FROM counter WHERE key = $1", key).Scan(&value); err != nil {
				return err
			}
			// Only the lock keeps others from counting between these two.
			if _, err := client.Exec(ctx, "UPDATE counter SET value = $2 WHERE key = $1", key, value+1); err != nil {
				return err
			}
			if err := check(ctx, client, []bool{true}, "SELECT pg_advisory_unlock($1)", key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	client, err := pgx.Connect(ctx, "")
	if err != nil {
		return err
	}
	defer client.Close(context.Background())
	return check(ctx, client, []int{25, 20}, "SELECT value FROM counter ORDER BY key")
}

func cursors(ctx context.Context) error {
	return sessions(ctx, func(ctx context.Context, client *pgx.Conn, n int) error {
		for _, words := range [][]string{{"", "WITH HOLD", "CLOSE rows"}, {"BEGIN", "", "COMMIT"}} {
			declare := fmt.Sprintf("DECLARE rows CURSOR %s FOR SELECT generate_series(%d, %d)", words[1], n, n+299)
			if err := exec(ctx, client, words[0], declare); err != nil {
				return err
			}
			for part := range 5 {
				var wanted []int
				for row := range 60 {
					wanted = append(wanted, n+part*60+row)
				}
				if err := check(ctx, client, wanted, "FETCH 60 FROM rows"); err != nil {
					return err
				}
				if err := check(ctx, client, []int{n}, "SELECT $1::int", n); err != nil {
					return err
				}
			}
			if err := exec(ctx, client, words[2]); err != nil {
				return err
			}
			if err := refused(ctx, client, "34000", "FETCH 1 FROM rows"); err != nil {
				return err
			}
		}
		return nil
	})
}

func mistakes(ctx context.Context) error {
	return sessions(ctx, func(ctx context.Context, client *pgx.Conn, n int) error {
		name := fmt.Sprintf("tenant_%d", n)
		own := func(on querier, wanted string) error {
			return check(ctx, on, []string{wanted}, "SELECT current_setting('app.tenant')")
		}
		if err := exec(ctx, client, "SET app.tenant TO "+name); err != nil {
			return err
		}
		for range 5 {
			if err := refused(ctx, client, "22012", "SELECT 1 / $1::int", 0); err != nil {
				return err
			}
			undone := errors.New("undone")
			err := pgx.BeginFunc(ctx, client, func(tx pgx.Tx) error {
				inner := pgx.BeginFunc(ctx, tx, func(point pgx.Tx) error {
					if err := exec(ctx, point, "SET app.tenant TO 'lost'"); err != nil {
						return err
					}
					if err := refused(ctx, point, "42P01", "SELECT * FROM nowhere"); err != nil {
						return err
					}
					if err := refused(ctx, point, "25P02", "SELECT 1"); err != nil {
						return err
					}
					return undone
				})
				if inner != undone {
					return inner
				}
				if err := own(tx, name); err != nil {
					return err
				}
				if err := exec(ctx, tx, "SET app.tenant TO 'lost as well'"); err != nil {
					return err
				}
				return undone
			})
			if err != undone {
				return err
			}
			if err := own(client, name); err != nil {
				return err
			}
			// A batch is one transaction.
			batch := &pgx.Batch{}
			batch.Queue("SET app.tenant TO 'lost'")
			batch.Queue("SELECT 1 / $1::int", 0)
			if err := client.SendBatch(ctx, batch).Close(); err == nil {
				return errors.New("a batch divided by zero")
			}
			if err := own(client, name); err != nil {
				return err
			}
		}
		return nil
	})
}
