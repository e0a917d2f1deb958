package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
)

// timeout is what the tests of a package may take on a busy machine: a mutant may hang.
func timeout(packages []string) string {
	if slices.Equal(packages, []string{"./internal/gate"}) {
		return "10s" // they take none
	}
	return "90s"
}

// test runs the tests of the packages below dir, each until one fails, and returns those that did:
// that failed, or else were running when all ended. An error means that the tests could not be run.
func test(dir string, race bool, packages ...string) (killers []string, err error) {
	args := []string{"test", "-json", "-count=1", "-vet=off", "-failfast", "-timeout=" + timeout(packages)}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, packages...)...)
	cmd.Dir = dir
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err == nil {
		return nil, nil
	}
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		return nil, err
	}
	began, failed := map[string]bool{}, map[string]bool{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		var event struct{ Action, Test, Output string }
		if err := decoder.Decode(&event); err != nil {
			return nil, err
		}
		name, _, _ := strings.Cut(event.Test, "/")
		switch event.Action {
		case "build-fail":
			return nil, fmt.Errorf("it does not compile:\n%s", out)
		case "run":
			began[name] = true
		case "pass", "skip":
			if name == event.Test {
				delete(began, name)
			}
		case "fail":
			delete(began, name)
			failed[name] = true
		}
	}
	delete(failed, "") // the package
	if len(failed) == 0 {
		failed = began
	}
	killers = slices.Sorted(maps.Keys(failed))
	if len(killers) == 0 {
		return nil, fmt.Errorf("no test failed, and yet: %w\n%s%s", err, &complaints, out)
	}
	return killers, nil
}
