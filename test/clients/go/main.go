// What pgx's connections have of their own, kept from one transaction to the next, with pgx as it comes: statements are
// prepared and cached. `sessions SCENARIO` runs one on the tables of sessions.ts.
package main

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"
)

const (
	clients = 9
	tenants = 6
	// Of the servers two may be taken for good; with the third go those that talk to them.
	listeners = 2
	patience  = 30 * time.Second
)

var scenarios = map[string]func(context.Context) error{
	"settings":   settings,
	"startup":    startup,
	"statements": statements,
	"modes":      modes,
	"listening":  listening,
	"temporary":  temporary,
	"locks":      locks,
	"cursors":    cursors,
	"mistakes":   mistakes,
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := scenarios[os.Args[1]](ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// inParallel calls work with 0 … count - 1 at the same time, and gives the first error.
func inParallel(ctx context.Context, count int, work func(ctx context.Context, n int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for n := range count {
		group.Go(func() error {
			if err := work(ctx, n); err != nil {
				return fmt.Errorf("client %d: %w", n, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// sessions does the work on a connection each, which the PG* variables describe.
func sessions(ctx context.Context, work func(ctx context.Context, client *pgx.Conn, n int) error) error {
	return inParallel(ctx, clients, func(ctx context.Context, n int) error {
		client, err := pgx.Connect(ctx, "")
		if err != nil {
			return err
		}
		defer client.Close(context.Background())
		return work(ctx, client, n)
	})
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// check asks, and compares the rows, each a single value.
func check[T any](ctx context.Context, on querier, wanted []T, sql string, args ...any) error {
	rows, err := on.Query(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	if !reflect.DeepEqual(got, wanted) {
		return fmt.Errorf("%s\n  gave   %v\n  and not %v", sql, got, wanted)
	}
	return nil
}

// exec runs statements one by one.
func exec(ctx context.Context, on querier, statements ...string) error {
	for _, statement := range statements {
		if _, err := on.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// refused runs a statement that is to fail with that SQLSTATE.
func refused(ctx context.Context, on querier, code string, sql string, args ...any) error {
	_, err := on.Exec(ctx, sql, args...)
	if failure, ok := err.(*pgconn.PgError); ok && failure.Code == code {
		return nil
	}
	return fmt.Errorf("%s gave %v and not %s", sql, err, code)
}
