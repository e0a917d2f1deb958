// Package server starts a real PostgreSQL in a temporary directory, for tests and measurements.
// The server listens on a Unix socket and on 127.0.0.1, and runs as a user that is not root, which PostgreSQL insists on.
package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ErrMissing: PostgreSQL is not installed, or can't be run here. The error says why.
var ErrMissing = errors.New("no PostgreSQL to test with")

// Password is that of the superuser, whose name is postgres. Over the Unix socket none is asked for.
const Password = "s3cr3t-of-the-superuser"

// startTimeout is what a server may take to accept connections, on a machine that is slow.
const startTimeout = time.Minute

// Server is a PostgreSQL that this package started. Stop it, and Remove its directory.
// Its methods are for one goroutine.
type Server struct {
	Socket string // the directory of its Unix socket
	Port   int    // of its Unix socket, and on 127.0.0.1

	root    string
	bin     string
	as      user
	process *exec.Cmd
	exited  chan struct{} // closed when process has ended
	log     *logs
}

// user is the user that the server runs as.
type user struct{ uid, gid int }

// New makes the files of a new database cluster. settings are lines for postgresql.conf, such as "max_connections = 20".
// The error wraps ErrMissing if there is no PostgreSQL.
// The first call in a process makes a template, of which the others are copies: see RemoveTemplate.
func New(ctx context.Context, settings ...string) (*Server, error) {
	from, err := template()
	if err != nil {
		return nil, err
	}
	s, err := prepare()
	if err != nil {
		return nil, err
	}
	err = os.CopyFS(s.data(), os.DirFS(from.data()))
	if err == nil {
		err = filepath.WalkDir(s.data(), func(path string, _ fs.DirEntry, err error) error { return errors.Join(err, s.as.own(path)) })
	}
	if err == nil {
		err = s.configure(append([]string{"log_min_messages = 'warning'"}, settings...)...)
	}
	if err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	return s, nil
}

var made *Server // of template

// template returns a cluster that is never started.
var template = sync.OnceValues(func() (*Server, error) {
	s, err := prepare()
	if err != nil {
		return nil, err
	}
	password := filepath.Join(s.root, "password")
	if err := os.WriteFile(password, []byte(Password), 0o644); err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	err = s.run(context.Background(), "initdb", "-D", s.data(), "-U", "postgres", "--pwfile", password, "--no-sync", "--no-instructions",
		"--encoding", "UTF8", "--no-locale", "--auth-local", "trust", "--auth-host", "scram-sha-256")
	if err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	made = s
	return s, nil
})

// RemoveTemplate removes what New has made for all. Then New can't be called any more.
func RemoveTemplate() error {
	if made == nil {
		return nil
	}
	return made.Remove()
}

// Replica makes the files of a streaming replica of s, which must be running.
func (s *Server) Replica(ctx context.Context, settings ...string) (*Server, error) {
	r, err := prepare()
	if err != nil {
		return nil, err
	}
	err = r.run(ctx, "pg_basebackup", "-h", s.Socket, "-p", strconv.Itoa(s.Port), "-U", "postgres",
		"-D", r.data(), "--wal-method", "stream", "--checkpoint", "fast", "--no-sync", "--write-recovery-conf")
	if err == nil {
		err = r.configure(settings...)
	}
	if err != nil {
		return nil, errors.Join(err, r.Remove())
	}
	return r, nil
}

// prepare makes the directory of a server, and looks for a port.
func prepare() (*Server, error) {
	bin, err := find()
	if err != nil {
		return nil, err
	}
	as, err := unprivileged()
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	root, err := os.MkdirTemp("", "headpond-pg")
	if err != nil {
		return nil, err
	}
	s := &Server{Socket: filepath.Join(root, "s"), Port: port, root: root, bin: bin, as: as, log: &logs{}}
	for _, directory := range []string{root, s.Socket, s.data()} {
		if err = os.MkdirAll(directory, 0o700); err == nil {
			err = as.own(directory)
		}
		if err != nil {
			return nil, errors.Join(err, s.Remove())
		}
	}
	if path := filepath.Join(s.Socket, ".s.PGSQL.65535"); len(path) > 100 { // sockaddr_un has 104 bytes or more
		return nil, errors.Join(fmt.Errorf("%w: the name of a socket would be too long: %s", ErrMissing, path), s.Remove())
	}
	return s, nil
}

// configure appends settings to those of the cluster. A later one replaces an earlier one.
func (s *Server) configure(settings ...string) error {
	f, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for _, line := range append([]string{
		fmt.Sprintf("port = %d", s.Port), fmt.Sprintf("unix_socket_directories = '%s'", s.Socket), "listen_addresses = '127.0.0.1'",
		"fsync = off", "full_page_writes = off", "lc_messages = 'C'", "shared_buffers = '16MB'",
	}, settings...) {
		fmt.Fprintln(f, line)
	}
	return f.Close()
}

// Configure appends settings to postgresql.conf, and makes the server read it again if it runs.
func (s *Server) Configure(ctx context.Context, settings ...string) error {
	if err := s.configure(settings...); err != nil || s.process == nil {
		return err
	}
	return s.run(ctx, "pg_ctl", "reload", "-s", "-D", s.data())
}

// Write makes a file in the data directory, such as a certificate, that only the server can read.
func (s *Server) Write(name string, content []byte) error {
	path := filepath.Join(s.data(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return err
	}
	return s.as.own(path)
}

// Start starts the server, and waits until it accepts connections. The processes of one that was killed may need a moment to end.
func (s *Server) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		logged := len(s.Log())
		ready, err := s.Launch()
		if err != nil {
			return err
		}
		select {
		case <-ready:
			return nil
		case <-s.exited:
			if waitFor(ctx, startPause); ctx.Err() != nil || !strings.Contains(s.Log()[logged:], "is still in use") {
				return fmt.Errorf("the server ended at once:\n%s", s.log)
			}
		case <-ctx.Done():
			return fmt.Errorf("the server was not ready: %w\n%s", ctx.Err(), s.log)
		}
	}
}

// startPause is the time between two tries to start.
const startPause = 50 * time.Millisecond

func waitFor(ctx context.Context, pause time.Duration) {
	select {
	case <-time.After(pause):
	case <-ctx.Done():
	}
}

// Launch starts the server without waiting: ready is closed when it accepts connections.
func (s *Server) Launch() (ready <-chan struct{}, err error) {
	cmd := s.command(context.Background(), "postgres", "-D", s.data())
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = in, in
	err = cmd.Start()
	_ = in.Close()
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	accepts, exited := make(chan struct{}), make(chan struct{})
	go s.log.read(out, accepts)
	go func() {
		_ = cmd.Wait() // it says that it was killed, or how it ended: the log has it
		close(exited)
	}()
	s.process, s.exited = cmd, exited
	return accepts, nil
}

// Signals to a server, as PostgreSQL names its ways to shut down.
func (s *Server) Stop() error  { return s.end(interrupt) } // fast: connections are terminated
func (s *Server) Abort() error { return s.end(quit) }      // immediate: as if it had crashed

// Kill kills every process of the server at once, as a loss of power would.
func (s *Server) Kill() error { return s.end(kill) }

// Remove stops the server if it runs, and removes its files.
func (s *Server) Remove() error {
	var err error
	if s.process != nil {
		err = s.Kill()
	}
	return errors.Join(err, os.RemoveAll(s.root))
}

// Promote makes a replica a primary, and waits until it is one.
func (s *Server) Promote(ctx context.Context) error {
	return s.run(ctx, "pg_ctl", "promote", "-s", "-w", "-D", s.data())
}

// Log returns what the server has logged since it was made.
func (s *Server) Log() string { return s.log.String() }

// Address is where the server listens on TCP.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// URL is for the superuser to connect to a database over the Unix socket.
func (s *Server) URL(database string, parameters ...string) string {
	query := url.Values{"host": {s.Socket}, "port": {strconv.Itoa(s.Port)}}
	return "postgres://postgres@/" + database + "?" + strings.Join(append(parameters, query.Encode()), "&")
}

// TCP is for the superuser to connect to a database over TCP, with the password.
func (s *Server) TCP(database string, parameters ...string) string {
	return "postgres://postgres:" + Password + "@" + s.Address() + "/" + database + "?" + strings.Join(parameters, "&")
}

func (s *Server) data() string { return filepath.Join(s.root, "data") }

// run runs one of PostgreSQL's programs to its end.
func (s *Server) run(ctx context.Context, program string, args ...string) error {
	out, err := s.command(ctx, program, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, out)
	}
	return nil
}

func (s *Server) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, program), args...)
	cmd.Dir = s.root
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "PG") }), "LC_ALL=C")
	s.as.run(cmd)
	return cmd
}

// find returns the directory of PostgreSQL's programs: what PATH says, else those of the newest version in Debian's place.
func find() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	version := func(path string) int {
		number, _ := strconv.Atoi(strings.Split(path, string(filepath.Separator))[4])
		return number
	}
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if initdb, err = filepath.EvalSymlinks(initdb); err == nil {
			found = append([]string{filepath.Dir(initdb)}, found...)
		}
	}
	for _, directory := range found {
		if hasAll(directory, "initdb", "postgres", "pg_ctl", "pg_basebackup") {
			return directory, nil
		}
	}
	return "", fmt.Errorf("%w: install it (Debian: postgresql), or put initdb and its like into PATH", ErrMissing)
}

func hasAll(directory string, programs ...string) bool {
	for _, program := range programs {
		if _, err := os.Stat(filepath.Join(directory, program)); err != nil {
			return false
		}
	}
	return true
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// logs are what a server has logged.
type logs struct {
	mu   sync.Mutex // protects the following
	text strings.Builder
}

// read takes the log until the server ends, and closes ready when it accepts connections.
func (l *logs) read(out io.ReadCloser, ready chan<- struct{}) {
	defer out.Close()
	once := sync.OnceFunc(func() { close(ready) })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		l.mu.Lock()
		fmt.Fprintln(&l.text, lines.Text())
		l.mu.Unlock()
		if strings.Contains(lines.Text(), "ready to accept") {
			once()
		}
	}
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
