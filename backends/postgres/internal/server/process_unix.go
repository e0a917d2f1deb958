//go:build unix

package server

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	osuser "os/user"
	"strconv"
	"syscall"
)

const (
	interrupt = syscall.SIGINT
	quit      = syscall.SIGQUIT
	kill      = syscall.SIGKILL
)

// unprivileged returns the user to run a server as: this one, or if that is root the one that Debian made for it, or nobody.
func unprivileged() (user, error) {
	if os.Geteuid() != 0 {
		return user{os.Geteuid(), os.Getegid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if found, err := osuser.Lookup(name); err == nil {
			uid, _ := strconv.Atoi(found.Uid)
			gid, _ := strconv.Atoi(found.Gid)
			return user{uid, gid}, nil
		}
	}
	return user{}, fmt.Errorf("%w: it won't run as root, and there is neither a user postgres nor nobody", ErrMissing)
}

func (u user) own(path string) error { return os.Chown(path, u.uid, u.gid) }

// run makes cmd run as u, out of reach of the terminal's signals.
func (u user) run(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(u.uid), Gid: uint32(u.gid)}
	}
}

// end sends the server a signal that ends it, and waits until it has.
// SIGKILL goes to each of its processes: those that serve connections would live on for a while.
func (s *Server) end(signal syscall.Signal) error {
	_ = s.signal(syscall.SIGCONT) // it may be paused
	var err error
	if signal == kill {
		err = s.signal(signal)
	} else {
		err = ignoreGone(syscall.Kill(s.process.Process.Pid, signal))
	}
	<-s.exited
	s.process = nil
	return err
}

// Pause stops every process of the server. The kernel goes on to take connections for it.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP) }

// Continue undoes Pause.
func (s *Server) Continue() error { return s.signal(syscall.SIGCONT) }

// signal sends a signal to every process of the server, the first one first, so that it starts no others.
func (s *Server) signal(signal syscall.Signal) error {
	pid := s.process.Process.Pid
	before := children(pid) // once it is killed, they are no children any more
	err := ignoreGone(syscall.Kill(pid, signal))
	for _, child := range append(children(pid), before...) {
		err = errors.Join(err, ignoreGone(syscall.Kill(child, signal)))
	}
	return err
}

// children returns the processes that pid started, if /proc has them: on Linux.
func children(pid int) (found []int) {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		child, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue
		}
		_, after, _ := bytes.Cut(stat, []byte(") ")) // what follows the name: state, parent
		if fields := bytes.Fields(after); len(fields) > 1 && string(fields[1]) == strconv.Itoa(pid) {
			found = append(found, child)
		}
	}
	return found
}

func ignoreGone(err error) error {
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}
