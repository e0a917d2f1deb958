package counter

import (
	"context"
	"errors"
	"net"
	"net/textproto"
	"strings"
	"time"
)

// Session is an authenticated connection to a Server, for one goroutine at a time: that is what a pool sees to.
type Session struct {
	*textproto.Conn
	conn net.Conn
}

// Dial begins a session.
func Dial(ctx context.Context, address, password string) (*Session, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	s := &Session{textproto.NewConn(conn), conn}
	if _, err := s.Call(ctx, "AUTH "+password); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Call sends a request and returns the answer. If ctx ends first, every later Call fails.
func (s *Session) Call(ctx context.Context, request string) (string, error) {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := s.PrintfLine("%s", request); err != nil {
		return "", errors.Join(ctx.Err(), err)
	}
	line, err := s.ReadLine()
	if err != nil {
		return "", errors.Join(ctx.Err(), err)
	}
	answer, ok := strings.CutPrefix(line, "OK ")
	if !ok {
		return "", errors.New("the server says " + line)
	}
	return answer, nil
}
