package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

var errRefused = errors.New("refused")

// session is an authenticated connection to the server. One goroutine at a time may use it: that is what the pool sees to.
type session struct {
	conn    net.Conn
	answers *bufio.Reader
}

func dial(ctx context.Context, address, password string) (*session, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	s := &session{conn, bufio.NewReader(conn)}
	if err := s.tell(ctx, "AUTH "+password); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return s, nil
}

// call sends a request and returns the answer. A session whose ctx ended in between can't be used any more:
// its Reset fails, and the pool ends it.
func (s *session) call(ctx context.Context, request string) (string, error) {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := fmt.Fprintln(s.conn, request); err != nil {
		return "", errors.Join(ctx.Err(), err)
	}
	answer, err := s.answers.ReadString('\n')
	if err != nil {
		return "", errors.Join(ctx.Err(), err)
	}
	verdict, result, _ := strings.Cut(strings.TrimSpace(answer), " ")
	if verdict != "OK" {
		return "", fmt.Errorf("%w: %s", errRefused, result)
	}
	return result, nil
}

// tell is call where the answer says nothing more than that it worked.
func (s *session) tell(ctx context.Context, request string) error {
	_, err := s.call(ctx, request)
	return err
}
