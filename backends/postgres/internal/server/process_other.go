//go:build !unix

package server

import (
	"fmt"
	"os"
	"os/exec"
)

var (
	interrupt = os.Interrupt
	quit      = os.Kill
	kill      = os.Kill
)

func unprivileged() (user, error) {
	return user{}, fmt.Errorf("%w: this system is not one to start it on", ErrMissing)
}

func (user) own(string) error         { return nil }
func (user) run(*exec.Cmd)            {}
func (s *Server) end(os.Signal) error { return ErrMissing }

// Pause is for other systems.
func (s *Server) Pause() error { return ErrMissing }

// Continue is for other systems.
func (s *Server) Continue() error { return ErrMissing }
