package main

import (
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"construct: refused: who are you?",
		"20 goroutines counted over ",
		`and got "test visits 1". The next one, on the same session after its reset, got "main visits 21".`,
		"is dead: ",
		"is held by main.go:",
		"no resource within ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, &out)
		}
	}
}
