package sqlite

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// processes is a database that several processes use, and what each of them was told of it.
type processes struct {
	file, backups string
	limit         int64
	over          atomic.Bool // nothing is started any more
	otherAt       int64       // the last id of the other SQLite
	round         int         // of what that does

	mu      sync.Mutex // protects the following
	running map[*exec.Cmd]bool
	other   *otherSQLite
	acked   map[int64]bool
	failed  map[int64]bool
	begun   map[string][]int64 // backups, and what their own process was told of before
	done    map[string]bool
	wrong   []string
	count   map[string]int
}

// TestProcesses has four processes write, batch, read, checkpoint and back up one database beside another SQLite,
// which reads, writes, holds the lock for 2 s, holds a snapshot for 1 s, and vacuums. All of them are killed and restarted at random.
// Nothing that was acknowledged is lost or applied twice, nothing that failed is there, no snapshot is wrong, no snapshot is said to pin
// the log if none does, no call waits for longer than is documented, and the log stays small.
func TestProcesses(t *testing.T) {
	lasts := 5 * time.Second
	if *long {
		lasts = 2 * time.Minute
	}
	p := &processes{file: path(t), backups: t.TempDir(), limit: 4 << 20, otherAt: 1 << 40,
		running: map[*exec.Cmd]bool{}, acked: map[int64]bool{}, failed: map[int64]bool{}, begun: map[string][]int64{}, done: map[string]bool{}, count: map[string]int{}}
	db, err := Open(t.Context(), p.file, Options{Schema: processSchema})
	require.NoError(t, err)
	require.NoError(t, db.Close(t.Context()))
	probe := startOther(t, p.file) // or the test is skipped
	probe.kill()
	probe.wait()

	var all sync.WaitGroup
	for slot := range 4 {
		all.Go(func() {
			for life := 0; !p.over.Load(); life++ {
				p.live(t, int64(slot*1000+life)*1_000_000, slot%2 == 0)
			}
		})
	}
	all.Go(func() {
		for !p.over.Load() {
			p.liveOther(t)
		}
	})
	largest := p.watch(lasts)
	p.over.Store(true)
	p.kill(true)
	all.Wait()

	p.audit(t)
	file, err := os.Stat(p.file)
	require.NoError(t, err)
	t.Logf("%v; %d calls acknowledged, %d failed; %d backups; the database has %.1f MiB; the log had %.1f MiB at the most, the limit is %.1f",
		p.count, len(p.acked), len(p.failed), len(p.done), mib(file.Size()), mib(largest), mib(p.limit))
	assert.Empty(t, p.wrong)
	assert.NotEmpty(t, p.acked)
	assert.NotEmpty(t, p.done)
	// A VACUUM writes the whole database into the log, in one transaction; a backup or a snapshot of the other SQLite pins it meanwhile.
	assert.Less(t, largest, 8*p.limit+2*file.Size())
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// watch kills processes for some time, and returns the largest size of the log.
func (p *processes) watch(lasts time.Duration) (largest int64) {
	end, kill := time.After(lasts), time.NewTimer(time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if log, err := os.Stat(p.file + "-wal"); err == nil {
				largest = max(largest, log.Size())
			}
		case <-kill.C:
			p.kill(rand.IntN(8) == 0)
			kill.Reset(rand.N(time.Second))
		case <-end:
			return largest
		}
	}
}

// kill kills one process, or all at the same time, so that the next one finds a log that nobody has open.
func (p *processes) kill(all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.other != nil && (all || rand.IntN(12) == 0) {
		p.other.kill()
		p.count["kills of the other"]++
		if !all {
			return
		}
	}
	for cmd, doomed := range p.running { // in random order
		if !doomed {
			p.running[cmd] = true
			_ = cmd.Process.Kill()
			p.count["kills"]++
			if !all {
				return
			}
		}
	}
}

// live runs a process until it is killed.
func (p *processes) live(t *testing.T, from int64, full bool) {
	how, err := json.Marshal(&process{File: p.file, Backups: p.backups, From: from, Limit: p.limit, Full: full})
	require.NoError(t, err)
	cmd := child(t, "process", string(how))
	out, err := cmd.StdoutPipe()
	if !assert.NoError(t, err) {
		return
	}
	var complaints strings.Builder
	cmd.Stderr = &complaints
	p.mu.Lock()
	err = cmd.Start()
	p.running[cmd] = p.over.Load()
	if p.over.Load() { // kill was there before
		_ = cmd.Process.Kill()
	}
	p.mu.Unlock()
	if !assert.NoError(t, err) {
		return
	}
	var own []int64
	for lines := bufio.NewScanner(out); lines.Scan(); {
		what, name, _ := strings.Cut(lines.Text(), " ")
		id, _ := strconv.ParseInt(name, 10, 64)
		p.mu.Lock()
		switch what {
		case "work":
			p.acked[id] = true
			own = append(own, id)
		case "failed":
			p.failed[id] = true
		case "begin":
			p.begun[name] = own[:len(own):len(own)]
		case "done":
			p.done[name] = true
		default:
			p.wrong = append(p.wrong, lines.Text())
		}
		p.mu.Unlock()
	}
	assert.Error(t, cmd.Wait(), "it was killed")
	p.mu.Lock()
	defer p.mu.Unlock()
	assert.True(t, p.running[cmd], "it ended by itself")
	assert.Empty(t, complaints.String())
	delete(p.running, cmd)
}

// liveOther runs the other SQLite until it is killed.
func (p *processes) liveOther(t *testing.T) {
	o := startOther(t, p.file)
	p.mu.Lock()
	p.other = o
	if p.over.Load() { // kill was there before
		o.kill()
	}
	p.mu.Unlock()
	for ; ; p.round++ {
		what, err := p.otherTurn(o, p.round)
		p.mu.Lock()
		if errors.Is(err, errKilled) {
			p.other = nil
			p.mu.Unlock()
			o.wait()
			return
		}
		switch {
		case err == nil:
			p.count[what]++
		case o.locked(err):
			p.count[what+", locked"]++
		default:
			p.wrong = append(p.wrong, "the other: "+err.Error())
		}
		p.mu.Unlock()
	}
}

// otherTurn lets the other SQLite do one thing.
func (p *processes) otherTurn(o *otherSQLite, round int) (what string, err error) {
	read := func() error {
		rows, err := o.run("SELECT (SELECT 2*n FROM works) = (SELECT count(*) FROM work), (SELECT 2*n FROM works) = (SELECT coalesce(max(at), 0) FROM work);")
		if err == nil && (len(rows) != 1 || rows[0] != "1|1") {
			return fmt.Errorf("it read %q", rows)
		}
		return err
	}
	write := func(inside func()) error {
		p.otherAt++
		id := p.otherAt
		err := o.transact(inside, fmt.Sprintf("INSERT INTO work (id, half) VALUES (%d, 0), (%d, 1);", id, id), "UPDATE works SET n=n+1;")
		p.mu.Lock()
		defer p.mu.Unlock()
		switch {
		case err == nil:
			p.acked[id] = true
		case !errors.Is(err, errKilled):
			p.failed[id] = true
		}
		return err
	}
	switch round % 16 {
	case 2:
		return "locks for 2 s", write(func() { o.pause(2 * time.Second) })
	case 4:
		_, err := o.run("VACUUM;")
		return "vacuums", err
	case 5:
		if _, err := o.run("BEGIN;"); err != nil {
			return "", err
		}
		err := read()
		o.pause(time.Second)
		_, endErr := o.run("COMMIT;")
		return "snapshots for 1 s", errors.Join(err, endErr)
	}
	pause(10 * time.Millisecond)
	if round%2 == 0 {
		return "reads of the other", read()
	}
	return "writes of the other", write(nil)
}

// audit compares the database and the backups with what the processes were told.
func (p *processes) audit(t *testing.T) {
	db, err := Open(t.Context(), p.file, Options{Schema: processSchema})
	require.NoError(t, err)
	there := audited(t, db)
	require.NoError(t, db.Close(context.Background()))
	for id := range p.acked {
		require.NotZero(t, there[id], "work %d was acknowledged, and is lost", id)
	}
	for id := range p.failed {
		require.Zero(t, there[id], "work %d failed, and is there", id)
	}
	looks := 200 // at backups that were acknowledged: in a long run there are thousands
	for name, before := range p.begun {
		if p.done[name] {
			if looks--; looks < 0 {
				continue
			}
		}
		copied := filepath.Join(p.backups, name)
		if _, err := os.Stat(copied); errors.Is(err, fs.ErrNotExist) {
			require.False(t, p.done[name], "%s was acknowledged", name)
			continue
		}
		backup, err := Open(t.Context(), copied, Options{})
		require.NoError(t, err)
		part := audited(t, backup)
		require.NoError(t, backup.Close(context.Background()))
		for id, at := range part {
			require.Equal(t, at, there[id], "work %d of %s", id, name)
		}
		for _, id := range before {
			require.NotZero(t, part[id], "%s was begun after work %d was acknowledged", name, id)
		}
	}
}
