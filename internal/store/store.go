// Package store keeps spaces and invites in SQL: in a SQLite file of its own by
// default, or in a PostgreSQL database that several nodes share.
//
//	db, err := store.Open(ctx, store.Options{DSN: filepath.Join(dir, "hustings.db")})
//	sp, err := db.Update(ctx, id, func(sp space.Space) (space.Space, error) {
//		return sp.Start(time.Now())
//	})
//
// A change to a space is a rule, a function from the space as it is to the space
// as it will be, applied inside a transaction that holds the row: two changes
// that come at once, from two people or two nodes, are applied one after the
// other, and the second sees what the first did. Nothing is lost, and no version
// number needs to travel with a space.
//
// SQLite takes one writer at a time, so one connection writes and others read
// beside it (write-ahead log). The database is read when someone comes, and
// written when a host does something: nothing on the way of the sound waits for it.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Connections kept for reading SQLite, and for everything on PostgreSQL.
const (
	readers  = 4
	pgConns  = 16
	busyWait = "5000" // milliseconds that SQLite waits for another process to finish writing
)

//go:embed migrations/*.sql
var migrations embed.FS

// Options say where the data is.
type Options struct {
	// DSN is the path of a SQLite file, made if absent, or the URL of a
	// PostgreSQL database: postgres://user:password@host/database.
	DSN    string
	Logger *slog.Logger // nil: discard
}

// Store is the database. It is safe for use by many goroutines.
type Store struct {
	write    *bun.DB
	read     *bun.DB // the same as write, but for SQLite
	postgres bool
	log      *slog.Logger
}

// Open connects, and brings the tables up to this version's shape.
func Open(ctx context.Context, o Options) (*Store, error) {
	s := &Store{log: o.Logger}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.connect(o.DSN); err != nil {
		return nil, err
	}
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close lets the connections go.
func (s *Store) Close() error {
	if s.read == s.write {
		return s.write.Close()
	}
	return errors.Join(s.read.Close(), s.write.Close())
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.read.PingContext(ctx); err != nil {
		return fmt.Errorf("database does not answer: %w", err)
	}
	return nil
}

func (s *Store) connect(dsn string) error {
	switch {
	case dsn == "":
		return errors.New("store: no database named; give the path of a SQLite file or a postgres:// URL")
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"):
		return s.connectPostgres(dsn)
	case strings.Contains(dsn, "://"):
		scheme, _, _ := strings.Cut(dsn, "://")
		return fmt.Errorf("store: %s:// is no database known here; give the path of a SQLite file or a postgres:// URL", scheme)
	default:
		return s.connectSQLite(dsn)
	}
}

func (s *Store) connectPostgres(dsn string) error {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return fmt.Errorf("open postgresql: %w", err)
	}
	db.SetMaxOpenConns(pgConns)
	db.SetMaxIdleConns(pgConns)
	s.write = bun.NewDB(db, pgdialect.New())
	s.read, s.postgres = s.write, true
	return nil
}

func (s *Store) connectSQLite(path string) error {
	// A transaction that means to write says so at its start (immediate): one
	// that began by reading could find the file taken when it comes to write.
	write, err := openSQLite(path, "_txlock=immediate", "_pragma=journal_mode(WAL)", "_pragma=synchronous(FULL)", "_pragma=foreign_keys(1)")
	if err != nil {
		return err
	}
	write.SetMaxOpenConns(1)
	read, err := openSQLite(path, "_pragma=query_only(1)")
	if err != nil {
		return errors.Join(err, write.Close())
	}
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	s.write = bun.NewDB(write, sqlitedialect.New())
	s.read = bun.NewDB(read, sqlitedialect.New())
	return nil
}

func openSQLite(path string, settings ...string) (*sql.DB, error) {
	settings = append(settings, "_pragma=busy_timeout("+busyWait+")")
	uri := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + strings.Join(settings, "&")
	db, err := sql.Open("sqlite", uri)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return db, nil
}

func (s *Store) migrate(ctx context.Context) error {
	dialect, options := goose.DialectSQLite3, []goose.ProviderOption{}
	if s.postgres {
		// Nodes that start together take turns.
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return fmt.Errorf("lock for migrations: %w", err)
		}
		dialect, options = goose.DialectPostgres, append(options, goose.WithSessionLocker(locker))
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("embedded migrations: %w", err)
	}
	provider, err := goose.NewProvider(dialect, s.write.DB, files, options...)
	if err != nil {
		return fmt.Errorf("prepare migrations: %w", err)
	}
	done, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("bring the database up to date: %w", err)
	}
	for _, m := range done {
		s.log.Info("database migrated", "version", m.Source.Version)
	}
	return nil
}
