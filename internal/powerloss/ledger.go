package powerloss

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// Ledger is what calls were told, in the order in which they were told it.
type Ledger struct {
	Begun        map[int64]bool // all calls that were made
	Acknowledged map[int64]bool
	Failed       map[int64]bool
	Unknown      map[int64]bool // whose error says that their outcome is

	// Lasting are the calls that were acknowledged before a checkpoint began, or a Close, that emptied the log:
	// they last even if a commit does not wait for the disk.
	Lasting map[int64]bool

	Backups map[string]Backup // that were begun

	Opened int // how many times

	before map[string]map[int64]bool // what had been acknowledged when a checkpoint, a Close or a backup began
}

// Backup is one that was begun.
type Backup struct {
	Acknowledged bool
	Failed       bool
	Has          map[int64]bool // the calls that were acknowledged when it began
}

func (l *Ledger) init() {
	if l.Begun == nil {
		*l = Ledger{
			Begun: map[int64]bool{}, Acknowledged: map[int64]bool{}, Failed: map[int64]bool{}, Unknown: map[int64]bool{},
			Lasting: map[int64]bool{}, Backups: map[string]Backup{}, before: map[string]map[int64]bool{},
		}
	}
}

// hear takes a line: a word, and a number or a name.
func (l *Ledger) hear(line string) error {
	l.init()
	word, what, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch word {
	case "opened":
		l.Opened++
		return nil
	case "checkpoint", "close": // begins
		l.before[word+what] = maps.Clone(l.Acknowledged)
		return nil
	case "checkpointed", "closed":
		maps.Copy(l.Lasting, l.before[map[string]string{"checkpointed": "checkpoint", "closed": "close"}[word]+what])
		return nil
	case "backup":
		l.Backups[what] = Backup{Has: maps.Clone(l.Acknowledged)}
		return nil
	case "copied", "uncopied":
		backup, ok := l.Backups[what]
		if !ok {
			return fmt.Errorf("backup %q was not begun", what)
		}
		backup.Acknowledged, backup.Failed = word == "copied", word == "uncopied"
		l.Backups[what] = backup
		return nil
	}
	id, err := strconv.ParseInt(what, 10, 64)
	if err != nil {
		return fmt.Errorf("a process said %q", line)
	}
	set := map[string]map[int64]bool{"begin": l.Begun, "ack": l.Acknowledged, "fail": l.Failed, "unknown": l.Unknown}[word]
	if set == nil {
		return fmt.Errorf("a process said %q", line)
	}
	if word != "begin" && !l.Begun[id] {
		return fmt.Errorf("a process said %q of what was not begun", line)
	}
	set[id] = true
	return nil
}

// Version is a number that grows with each line that a judge looks at.
func (l *Ledger) Version() int {
	n := len(l.Acknowledged) + len(l.Failed) + len(l.Lasting) + l.Opened
	for _, backup := range l.Backups {
		if backup.Acknowledged {
			n++
		}
	}
	return n
}

// acknowledgedOf are those of some calls that were acknowledged, in their order.
func (l *Ledger) acknowledgedOf(calls []int64) (acknowledged []int64) {
	for _, id := range calls {
		if l.Acknowledged[id] {
			acknowledged = append(acknowledged, id)
		}
	}
	return acknowledged
}
