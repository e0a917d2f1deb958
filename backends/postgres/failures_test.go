package postgres_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/postgres"
	"github.com/headpond/headpond/backends/postgres/internal/server"
	"github.com/headpond/headpond/resource"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// failure asserts what an error of a connection says, and that it says no password.
func failure(t *testing.T, err error, kind error, step, host, database, code string) {
	t.Helper()
	var failed *postgres.Error
	require.ErrorAs(t, err, &failed)
	if kind != nil {
		assert.ErrorIs(t, err, kind)
	}
	assert.Equal(t, []string{step, host, database, code}, []string{failed.Step, failed.Host, failed.Database, failed.ErrorType()})
	assert.NotContains(t, err.Error(), server.Password)
	assert.NotContains(t, err.Error(), "wrong-password")
	var withConfig *pgconn.ConnectError
	assert.NotErrorAs(t, err, &withConfig, "which carries the password")
}

func TestOpen_WhatIsWrongIsSaid(t *testing.T) {
	s := theServer(t)
	try := func(url string) error {
		t.Helper()
		db, err := postgres.Open(t.Context(), url, postgres.Options{})
		if err == nil {
			_ = db.Close(t.Context())
		}
		require.Error(t, err)
		return err
	}
	failure(t, try("postgres://postgres:wrong-password@"+s.Address()+"/postgres"), postgres.ErrAuthentication, "log in", s.Address(), "postgres", "28P01")
	failure(t, try(s.TCP("nowhere")), postgres.ErrNoDatabase, "start", s.Address(), "nowhere", "3D000")
	failure(t, try(strings.Replace(s.URL("postgres"), "postgres@", "nobody@", 1)), postgres.ErrAuthentication, "log in", hostOf(s), "postgres", "28000")

	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := free.Addr().String()
	require.NoError(t, free.Close())
	failure(t, try("postgres://postgres:"+server.Password+"@"+nobody+"/x"), nil, "dial", nobody, "x", "")
	failure(t, try("postgres://postgres:"+server.Password+"@no.such.host.invalid/x"), nil, "resolve", "no.such.host.invalid:5432", "x", "")
	failure(t, try("postgres://postgres@/x?host=/no/such/directory"), nil, "dial", "/no/such/directory:5432", "x", "")
	failure(t, try(s.TCP("postgres", "sslmode=require")), nil, "tls", s.Address(), "postgres", "")

	for url, want := range map[string]string{
		"postgres://postgres:wrong-password@localhost:port/x":                       "invalid port",
		"postgres://postgres:wrong-password@localhost/x?sslmode=perhaps":            "sslmode",
		"postgres://postgres:wrong-password@localhost/x?target_session_attrs=maybe": "maybe",
		"host=localhost password='wrong-password":                                   "parse",
		"postgres://postgres:wrong/wrong-password@localhost/x":                      "parse",
		"postgres://postgres:wrong-password:more@localhost/x?connect_timeout=never": "parse",
	} {
		err := try(url)
		assert.ErrorContains(t, err, want, url)
		assert.NotContains(t, err.Error(), "wrong-password")
		var withURL *pgconn.ParseConfigError
		assert.NotErrorAs(t, err, &withURL, "which carries the password")
	}
}

func hostOf(s *server.Server) string {
	_, port, _ := net.SplitHostPort(s.Address())
	return s.Socket + ":" + port
}

func TestOpen_ACertificateOfAnotherAuthority(t *testing.T) {
	s := newServer(t, "ssl = on")
	certificate, key := selfSigned(t)
	require.NoError(t, s.Write("server.crt", certificate))
	require.NoError(t, s.Write("server.key", key))
	require.NoError(t, s.Start(t.Context()))
	trusted := filepath.Join(t.TempDir(), "root.crt")
	require.NoError(t, os.WriteFile(trusted, certificate, 0o600))
	db := openURL(t, s.TCP("postgres", "sslmode=verify-full", "sslrootcert="+trusted), postgres.Options{})
	require.NoError(t, db.Ping(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, db.Read(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "SELECT pg_sleep(60)")
		return err
	}), context.DeadlineExceeded)
	assert.EqualValues(t, 1, db.Stats().Readers.Created)
	assert.Equal(t, 1, db.Stats().Readers.Idle, "a statement is cancelled through TLS as well")

	other, _ := selfSigned(t)
	require.NoError(t, os.WriteFile(trusted, other, 0o600))
	_, err := postgres.Open(t.Context(), s.TCP("postgres", "sslmode=verify-full", "sslrootcert="+trusted), postgres.Options{})
	failure(t, err, nil, "tls", s.Address(), "postgres", "")
	var unknown x509.UnknownAuthorityError
	assert.ErrorAs(t, err, &unknown)
}

// selfSigned makes a certificate for 127.0.0.1, and its key.
func selfSigned(t *testing.T) (certificate, key []byte) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: rand.Text()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func TestOpen_AServerThatIsFull(t *testing.T) {
	s := newServer(t, "max_connections = 5", "superuser_reserved_connections = 0", "max_wal_senders = 0")
	require.NoError(t, s.Start(t.Context()))
	var conns []*pgx.Conn
	for range 5 {
		conn, err := pgx.Connect(t.Context(), s.URL("postgres"))
		require.NoError(t, err)
		conns = append(conns, conn)
	}
	_, err := postgres.Open(t.Context(), s.URL("postgres"), postgres.Options{})
	failure(t, err, postgres.ErrFull, "start", hostOf(s), "postgres", "53300")
	for _, conn := range conns {
		require.NoError(t, conn.Close(t.Context()))
	}
}

// TestOpen_AServerThatIsStartingUp: it is a replica of a server that it can't reach, and never gets to where it is consistent.
func TestOpen_AServerThatIsStartingUp(t *testing.T) {
	s := newServer(t)
	require.NoError(t, s.Write("standby.signal", nil))
	require.NoError(t, s.Configure(t.Context(), "hot_standby = off"))
	_, err := s.Launch()
	require.NoError(t, err)
	for { // until it listens
		_, err = postgres.Open(t.Context(), s.URL("postgres"), postgres.Options{})
		var failed *postgres.Error
		require.ErrorAs(t, err, &failed)
		if failed.Step != "dial" {
			break
		}
	}
	failure(t, err, postgres.ErrStarting, "start", hostOf(s), "postgres", "57P03")
}

func TestUse_TheServerEndsTheConnection(t *testing.T) {
	s := theServer(t)
	url := newDatabase(t)
	admin := openURL(t, url, postgres.Options{})
	terminate := func(pid uint32) {
		exec(t, admin, "SELECT pg_terminate_backend($1, 10000)", pid)
	}
	for name, parameters := range map[string]string{"Unix": url, "TCP": s.TCP(parse(t, url).Database)} {
		t.Run(name, func(t *testing.T) {
			db := openURL(t, parameters, postgres.Options{Writers: 1})
			impatient := openURL(t, parameters, postgres.Options{Writers: 1, Configure: func(config *pgx.ConnConfig) error {
				config.RuntimeParams["idle_in_transaction_session_timeout"] = "100ms"
				return nil
			}})
			err := db.Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
				terminate(tx.Conn().PgConn().PID())
				_, err := tx.Exec(ctx, "SELECT 1")
				return err
			})
			assert.ErrorIs(t, err, postgres.ErrTerminated)
			var failed *postgres.Error
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, "use", failed.Step)
			assert.NotErrorIs(t, err, postgres.ErrOutcomeUnknown)

			err = impatient.Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
				gone(t, admin, tx.Conn().PgConn().PID())
				_, err := tx.Exec(ctx, "SELECT 1")
				return err
			})
			assert.ErrorIs(t, err, postgres.ErrIdleInTransaction)
			require.ErrorAs(t, err, &failed)

			err = db.Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
				terminate(tx.Conn().PgConn().PID())
				return nil
			})
			require.Error(t, err, "COMMIT on a connection that is gone")
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, "commit", failed.Step)
			exec(t, db, "SELECT 1")

			// While it is idle, nobody sees it.
			lease, err := db.Writer().Acquire(t.Context())
			require.NoError(t, err)
			pid := lease.Value().PgConn().PID()
			lease.Release()
			terminate(pid)
			exec(t, db, "SELECT 1")
			assert.NotZero(t, db.Stats().Writer.Destroyed)
		})
	}
}

// gone waits until the server has no such process.
func gone(t *testing.T, admin *postgres.DB, pid uint32) {
	t.Helper()
	for number(t, admin, "SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid) > 0 {
		number(t, admin, "SELECT 1 FROM pg_sleep(0.02)")
	}
}

// TestServer_IsKilledAndComesBack: within 2 seconds of it, everyone has a connection again.
func TestServer_IsKilledAndComesBack(t *testing.T) {
	const workers = 8
	s := newServer(t)
	require.NoError(t, s.Start(t.Context()))
	db := openURL(t, s.URL("postgres"), postgres.Options{Readers: 4, Writers: 4})
	exec(t, db, "CREATE TABLE t (a int)")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var group sync.WaitGroup
	for i := range workers {
		group.Go(func() { // one that never gives up
			for ctx.Err() == nil {
				if i%2 == 0 {
					_ = db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
						_, err := tx.Exec(ctx, "INSERT INTO t VALUES (1)")
						return err
					})
				} else {
					_ = db.Read(ctx, func(ctx context.Context, tx pgx.Tx) error {
						_, err := tx.Exec(ctx, "SELECT count(*) FROM t")
						return err
					})
				}
			}
		})
	}
	for _, end := range []func() error{s.Kill, s.Abort, s.Stop} {
		require.NoError(t, end())
		refused := db.Write(t.Context(), func(context.Context, pgx.Tx) error { return nil })
		require.Error(t, refused)
		require.NoError(t, s.Start(t.Context()))
		back := time.Now()
		capacity(t, db)
		took := time.Since(back)
		t.Logf("full capacity %v after it came back", took)
		assert.Less(t, took, 20*time.Second, "2 s on a machine that is not busy")
	}
	stop()
	group.Wait()
	stats := db.Stats()
	assert.Zero(t, stats.Readers.Held+stats.Writer.Held)
	assert.Zero(t, stats.Readers.Waiting+stats.Writer.Waiting)
}

// capacity waits until all connections of both pools are held at the same time, and each of them works.
func capacity(t *testing.T, db *postgres.DB) {
	t.Helper()
	var group sync.WaitGroup
	var reached sync.WaitGroup
	reached.Add(8)
	for i := range 8 {
		p := db.Readers()
		if i%2 == 0 {
			p = db.Writer()
		}
		group.Go(func() {
			for {
				lease, err := p.Acquire(t.Context())
				if err != nil {
					continue
				}
				if lease.Value().Ping(t.Context()) != nil {
					lease.Release()
					continue
				}
				reached.Done()
				reached.Wait()
				lease.Release()
				return
			}
		})
	}
	group.Wait()
}

// TestServer_IsPaused: one that does not answer holds nobody for longer than CancelTimeout and a moment.
func TestServer_IsPaused(t *testing.T) {
	s := newServer(t)
	require.NoError(t, s.Start(t.Context()))
	db, err := postgres.Open(t.Context(), s.URL("postgres"), postgres.Options{Writers: 1, CancelTimeout: 100 * time.Millisecond})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err = db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := s.Pause(); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "SELECT 1")
		return err
	})
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, s.Continue())
	exec(t, db, "SELECT 1")
	assert.EqualValues(t, 2, db.Stats().Writer.Created, "the connection that did not answer was closed")
	require.NoError(t, db.Close(t.Context()))
}

// TestCheckEvery_IdleConnectionsAreLookedAt, and those that have died are replaced before they are needed.
func TestCheckEvery_IdleConnectionsAreLookedAt(t *testing.T) {
	url := newDatabase(t)
	admin := openURL(t, url, postgres.Options{})
	count := &counting{}
	db := openURL(t, url, postgres.Options{Configure: count.configure, MaintainEvery: 10 * time.Millisecond,
		WriterPolicy: resource.Policy{CheckEvery: 10 * time.Millisecond, CheckTimeout: time.Minute}})
	before := count.writes.Load()
	eventually(t, "an idle connection is looked at", func() bool { return count.writes.Load() > before+2 })
	exec(t, admin, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	eventually(t, "one that has died is destroyed", func() bool { return db.Stats().Writer.Destroyed[resource.CheckFailed] > 0 })
	exec(t, db, "SELECT 1")
}
