package main

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
)

// server counts, for those who know its password: AUTH password, PING, USE space, ADD counter, RESET.
// A session begins in the space "main", and RESET brings it back there.
type server struct {
	listener net.Listener
	password string
	serving  sync.WaitGroup

	mu     sync.Mutex // protects the following
	counts map[string]int
	conns  map[net.Conn]struct{}
}

func listen(password string) (*server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{listener: listener, password: password, counts: map[string]int{}, conns: map[net.Conn]struct{}{}}
	s.serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			s.serving.Go(func() { s.serve(conn) })
		}
	})
	return s, nil
}

func (s *server) address() string { return s.listener.Addr().String() }

func (s *server) serve(conn net.Conn) {
	s.mu.Lock()
	s.conns[conn] = struct{}{}
	s.mu.Unlock()
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

func (s *server) add(counter string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[counter]++
	return fmt.Sprintf("OK %s %d", counter, s.counts[counter])
}

// hangUp ends all sessions.
func (s *server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		_ = conn.Close()
	}
}

func (s *server) close() {
	_ = s.listener.Close()
	s.hangUp()
	s.serving.Wait()
}
