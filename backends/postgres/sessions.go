package postgres

import (
	"context"
	"sync"
	"weak"
)

// sessions are those of a connector that are open, so that Close can cancel what runs on them.
// It does not keep those that have left their pool by Detach.
type sessions struct {
	mu  sync.Mutex // protects the following
	all map[weak.Pointer[session]]struct{}
}

func (s *sessions) add(one *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[weak.Pointer[session]]struct{})
	}
	for pointer := range s.all {
		if pointer.Value() == nil {
			delete(s.all, pointer)
		}
	}
	s.all[weak.Make(one)] = struct{}{}
}

func (s *sessions) remove(one *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, weak.Make(one))
}

// open are those that are open.
func (s *sessions) open() (all []*session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for pointer := range s.all {
		if one := pointer.Value(); one != nil {
			all = append(all, one)
		}
	}
	return all
}

// cancelAll asks the servers to cancel what runs on any of them, all at the same time, and waits until they were asked.
func (s *sessions) cancelAll(ctx context.Context) {
	var asked sync.WaitGroup
	for _, one := range s.open() {
		asked.Go(func() { _ = one.conn.PgConn().CancelRequest(ctx) }) // what could not be asked ends when it ends
	}
	asked.Wait()
}

// breakAll breaks the retired connections to a member, under their holders: those that wait for an answer get an error instead.
func (s *sessions) breakAll(m *member) {
	for _, one := range s.open() {
		if one.member == m && one.retired() {
			_ = one.conn.PgConn().Conn().Close() // that it is closed already is no news
		}
	}
}
