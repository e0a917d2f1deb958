package pool_test

import (
	"bufio"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tcpServer answers every line with the same line, when it is well.
type tcpServer struct {
	t       *testing.T
	address string       // for good
	delay   atomic.Int64 // of every answer
	hangsUp atomic.Bool  // at once, on whoever comes

	handlers sync.WaitGroup

	mu       sync.Mutex // protects the following
	listener net.Listener
	conns    map[net.Conn]bool // true: it was answered since the last trouble
}

func serveTCP(t *testing.T) *tcpServer {
	s := &tcpServer{t: t, conns: map[net.Conn]bool{}}
	s.listen("127.0.0.1:0")
	s.address = s.listener.Addr().String()
	t.Cleanup(func() {
		s.kill()
		s.handlers.Wait()
	})
	return s
}

// start undoes kill.
func (s *tcpServer) start() { s.listen(s.address) }

func (s *tcpServer) listen(address string) {
	listener, err := net.Listen("tcp", address)
	require.NoError(s.t, err)
	s.mu.Lock()
	s.listener = listener
	s.mu.Unlock()
	s.handlers.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.handlers.Go(func() { s.serve(conn) })
		}
	})
}

func (s *tcpServer) serve(conn net.Conn) {
	defer conn.Close()
	if s.hangsUp.Load() {
		return
	}
	s.set(conn, false)
	defer s.forget(conn)
	lines := bufio.NewReader(conn)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		if delay := time.Duration(s.delay.Load()); delay > 0 {
			<-time.After(delay)
		}
		if _, err := conn.Write(line); err != nil {
			return
		}
		s.set(conn, s.delay.Load() == 0)
	}
}

func (s *tcpServer) set(conn net.Conn, well bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[conn] = well
}

func (s *tcpServer) forget(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

// kill ends the server and all its connections.
func (s *tcpServer) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.listener.Close()
	s.hangUp()
}

// trouble makes all answers late, or the server hang up on everyone.
func (s *tcpServer) trouble(delay time.Duration, hangsUp bool) {
	s.delay.Store(int64(delay))
	s.hangsUp.Store(hangsUp)
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		s.conns[conn] = false
	}
	if hangsUp {
		s.hangUp()
	}
}

func (s *tcpServer) hangUp() {
	for conn := range s.conns {
		_ = conn.Close()
		s.conns[conn] = false
	}
}

// well is how many connections have an answer, since the last trouble.
func (s *tcpServer) well() (well int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, answered := range s.conns {
		if answered {
			well++
		}
	}
	return well
}
