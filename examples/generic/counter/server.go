// Package counter is a small TCP server that counts, and a session with it: they stand in for yours.
package counter

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
)

// Server counts for those who know its password. It answers AUTH password, PING, USE space, ADD counter and RESET.
// A session begins in the space "main", and RESET brings it back there.
type Server struct {
	listener net.Listener
	password string
	serving  sync.WaitGroup

	mu     sync.Mutex // protects the following
	counts map[string]int
	conns  map[net.Conn]struct{}
}

// Listen starts a server on a free port of the loopback interface.
func Listen(password string) (*Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{listener: listener, password: password, counts: map[string]int{}, conns: map[net.Conn]struct{}{}}
	s.serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			s.mu.Lock()
			s.conns[conn] = struct{}{}
			s.mu.Unlock()
			s.serving.Go(func() { s.serve(conn) })
		}
	})
	return s, nil
}

// Address is where the server listens.
func (s *Server) Address() string { return s.listener.Addr().String() }

func (s *Server) serve(conn net.Conn) {
	defer func() {
		_ = conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	known, space := false, "main"
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		verb, word, _ := strings.Cut(lines.Text(), " ")
		answer := "OK done"
		switch {
		case verb == "AUTH" && word == s.password:
			known = true
		case !known:
			answer = "NO who are you?"
		case verb == "USE":
			space = word
		case verb == "RESET":
			space = "main"
		case verb == "ADD":
			answer = s.add(space + " " + word)
		case verb != "PING":
			answer = "NO such thing"
		}
		fmt.Fprintln(conn, answer)
	}
}

func (s *Server) add(counter string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[counter]++
	return fmt.Sprintf("OK %s %d", counter, s.counts[counter])
}

// HangUp ends all sessions.
func (s *Server) HangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		_ = conn.Close()
	}
}

// Close ends all sessions and the server.
func (s *Server) Close() {
	_ = s.listener.Close()
	s.HangUp()
	s.serving.Wait()
}
