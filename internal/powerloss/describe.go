package powerloss

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// Describe writes what happened up to an event, that one included, a line each.
func (r *Recording) Describe(to io.Writer, upTo int) error {
	names := map[int]string{} // of descriptors
	calls := map[int]string{} // of syncs
	for i, e := range r.Events[:upTo+1] {
		name := names[e.FD]
		var what string
		switch e.Op {
		case Opened:
			names[e.FD] = filepath.Base(e.Path)
			if !strings.HasPrefix(e.Path, filepath.Dir(r.Workload.Root)) {
				names[e.FD] = ""
			}
			continue
		case Closed:
			delete(names, e.FD)
			continue
		case Wrote:
			what = fmt.Sprintf("%s: %d bytes at %d", name, len(e.Data), e.Offset)
		case Truncated:
			what = fmt.Sprintf("%s: cut to %d", name, e.Size)
		case SyncBegan:
			calls[e.Call] = name
			what = fmt.Sprintf("%s: sync %d begins", name, e.Call)
		case SyncEnded:
			name = calls[e.Call]
			what = fmt.Sprintf("%s: sync %d ends", name, e.Call)
			if e.Failed {
				what += ", failed"
			}
		case Linked:
			name = filepath.Base(e.To)
			what = fmt.Sprintf("%s is also %s", filepath.Base(e.Path), name)
		case Renamed:
			name = filepath.Base(e.To)
			what = fmt.Sprintf("%s is %s now", filepath.Base(e.Path), name)
		case Unlinked:
			name = filepath.Base(e.Path)
			what = name + " is gone"
		case Said:
			what = fmt.Sprintf("%s: %q", name, e.Data)
		case Exited:
			clear(names)
			name, what = "process", "the process has ended"
		}
		if name == "" || volatile(name) {
			continue
		}
		if _, err := fmt.Fprintf(to, "%6d %s\n", i, what); err != nil {
			return err
		}
	}
	return nil
}
