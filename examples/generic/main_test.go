package main

import (
	"strings"
	"testing"

	"github.com/headpond/headpond/examples/generic/counter"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	var out strings.Builder
	for range 10 { // the machine may be so busy that the 50 ms of the last one are over before it waits
		out.Reset()
		require.NoError(t, run(t.Context(), &out))
		if strings.Contains(out.String(), "no resource within") {
			break
		}
	}
	assert.Regexp(t, `^20 goroutines have counted; a borrower switches to another space: test visits 1
the next, in the same session after its Reset: main visits 21
the server hung up on all, and the next does not notice: main visits 22
[2-4] sessions were made for that, and Check found [1-3] of them dead
all are out, and one more is wanted: headpond/pool "sessions": acquire: no resource within .*3 of 3 held.*/main\.go:\d+ \S+\.run\): release sooner or raise MaxSize
$`, out.String())
}

func TestAWrongPassword(t *testing.T) {
	server, err := counter.Listen("sesame")
	require.NoError(t, err)
	defer server.Close()
	sessions, err := open(server.Address(), "guess")
	require.NoError(t, err)
	assert.EqualError(t, sessions.Do(t.Context(), tell("PING")), `headpond/pool "sessions": construct: the server says NO who are you?`)
	assert.NoError(t, sessions.Close(t.Context()))
}
