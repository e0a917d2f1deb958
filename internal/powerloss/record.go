package powerloss

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// child is the environment variable that has a process do a workload, which is its value in JSON.
const child = "HEADPOND_POWERLOSS_WORKLOAD"

// RunChild does the workload that this process was started for, and reports whether there is one.
func RunChild(ctx context.Context) (bool, error) {
	text, ok := os.LookupEnv(child)
	if !ok {
		return false, nil
	}
	var w Workload
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		return true, err
	}
	return true, w.Run(ctx)
}

// ErrNoTrace is the error of [Record] if strace is not installed, or can't trace here.
var ErrNoTrace = errors.New("strace can't trace here")

// Record runs the workload in a process of its own under strace, which writes to the file at trace.
func (w Workload) Record(ctx context.Context, trace string) error {
	strace, err := exec.LookPath("strace")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoTrace, err)
	}
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	text, err := json.Marshal(w)
	if err != nil {
		return err
	}
	args := []string{"-f", "--seccomp-bpf", "-qq", "-xx", "-s", "1000000", "-e", "signal=none", "-o", trace, "-e", "trace=" + Calls}
	for _, one := range w.Inject {
		args = append(args, "-e", "inject="+one)
	}
	cmd := exec.CommandContext(ctx, strace, append(args, binary)...)
	cmd.Env = append(os.Environ(), child+"="+string(text))
	out, err := cmd.CombinedOutput()
	if info, statErr := os.Stat(trace); statErr != nil || info.Size() == 0 {
		return fmt.Errorf("%w: %v: %.300s", ErrNoTrace, err, out)
	}
	if w.Kill {
		var exit *exec.ExitError
		if len(out) > 0 || !errors.As(err, &exit) {
			return fmt.Errorf("the workload was to be killed, and ended with %v: %.2000s", err, out)
		}
		return nil
	}
	if err != nil || len(out) > 0 {
		return fmt.Errorf("the workload ended with %v: %.2000s", err, out)
	}
	return nil
}
