package powerloss

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Calls are the system calls that ParseTrace knows, for strace's -e trace=.
const Calls = "?open,openat,?creat,close,write,pwrite64,pwritev,pwritev2,writev,ftruncate,truncate,fallocate,copy_file_range,sendfile," +
	"fsync,fdatasync,sync_file_range,msync,?link,linkat,?rename,renameat,renameat2,?unlink,unlinkat"

// call is one system call as strace writes it.
type call struct {
	name   string
	args   []string
	result int64
	killed bool // there is no result
	err    error
}

// parseCall reads name(arguments) = result, or as much of it as there is.
func parseCall(text []byte) (call, error) {
	name, rest, ok := bytes.Cut(text, []byte("("))
	if !ok {
		return call{}, fmt.Errorf("no call")
	}
	c := call{name: string(name), killed: true}
	arguments := rest
	if at := bytes.IndexByte(rest, ')'); at >= 0 { // strings are in hexadecimal: it is the one that ends the arguments
		if result, ok := bytes.CutPrefix(bytes.TrimLeft(rest[at+1:], " "), []byte("= ")); ok {
			arguments = rest[:at]
			number, _, _ := strings.Cut(string(result), " ")
			if n, err := strconv.ParseInt(number, 10, 64); err == nil {
				c.result, c.killed = n, false
			} else if number != "?" {
				return call{}, fmt.Errorf("result %q is no number", number)
			}
		}
	}
	if len(arguments) > 0 {
		c.args = strings.Split(string(arguments), ", ")
	}
	return c, nil
}

func (c *call) fd(i int) int { return int(c.number(i)) }

func (c *call) number(i int) int64 {
	if i < len(c.args) {
		if n, err := strconv.ParseInt(c.args[i], 10, 64); err == nil {
			return n
		}
	}
	c.err = fmt.Errorf("argument %d of %s is no number", i, c.name)
	return -1
}

func (c *call) text(i int) string {
	data, err := c.data(i)
	if err != nil {
		c.err = err
	}
	return string(data)
}

// data decodes a string, which is "\xHH\xHH".
func (c *call) data(i int) ([]byte, error) {
	if i >= len(c.args) {
		return nil, fmt.Errorf("%s has no argument %d", c.name, i)
	}
	quoted := c.args[i]
	if len(quoted) < 2 || quoted[0] != '"' || quoted[len(quoted)-1] != '"' || len(quoted)%4 != 2 {
		return nil, fmt.Errorf("argument %d of %s is no whole string: %.40s", i, c.name, quoted)
	}
	quoted = quoted[1 : len(quoted)-1]
	data := make([]byte, len(quoted)/4)
	for i := range data {
		high, low := digit(quoted[4*i+2]), digit(quoted[4*i+3])
		if quoted[4*i] != '\\' || quoted[4*i+1] != 'x' || high > 15 || low > 15 {
			return nil, fmt.Errorf("argument %d of %s is not in hexadecimal", i, c.name)
		}
		data[i] = high<<4 | low
	}
	return data, nil
}

func digit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

// event is what a call that succeeded did. Those of paths are only replayed with absolute ones.
func (c *call) event() (Event, bool) {
	switch c.name {
	case "close", "write", "fsync", "fdatasync", "sync_file_range", "msync": // counted when they began; or no sync at all
		return Event{}, false
	case "open":
		return c.opened(0), true
	case "openat":
		return c.opened(1), true
	case "pwrite64":
		data, err := c.data(1)
		if err != nil {
			c.err = err
			return Event{}, false
		}
		if c.result < int64(len(data)) {
			data = data[:c.result]
		}
		return Event{Op: Wrote, FD: c.fd(0), Data: data, Offset: c.number(3)}, true
	case "ftruncate":
		return Event{Op: Truncated, FD: c.fd(0), Size: c.number(1)}, true
	case "link":
		return Event{Op: Linked, Path: c.text(0), To: c.text(1)}, true
	case "linkat":
		return Event{Op: Linked, Path: c.text(1), To: c.text(3)}, true
	case "rename":
		return Event{Op: Renamed, Path: c.text(0), To: c.text(1)}, true
	case "renameat", "renameat2":
		return Event{Op: Renamed, Path: c.text(1), To: c.text(3)}, true
	case "unlink":
		return Event{Op: Unlinked, Path: c.text(0)}, true
	case "unlinkat":
		return Event{Op: Unlinked, Path: c.text(1)}, true
	}
	c.err = fmt.Errorf("%s is a call that is not known", c.name)
	return Event{}, false
}

func (c *call) opened(at int) Event {
	flags := ""
	if at+1 < len(c.args) {
		flags = c.args[at+1]
	}
	has := func(flag string) bool { return strings.Contains("|"+flags+"|", "|"+flag+"|") }
	return Event{Op: Opened, FD: int(c.result), Path: c.text(at), Create: has("O_CREAT"), Empty: has("O_TRUNC")}
}
