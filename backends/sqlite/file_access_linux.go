package sqlite

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// access is access(2) for the user and the capabilities with which the process opens files:
// that of the system asks for the user who has started a set-uid program, and takes no account of capabilities.
func access(path string, mode uint32) error {
	const here, effective = -0x64, 0x200 // AT_FDCWD, AT_EACCESS
	return syscall.Faccessat(here, path, mode, effective)
}

// mounted reports whether the file is itself a mount: https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html.
// A file that is mounted from the same file system has the device of its directory.
func mounted(path string) bool {
	path, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false
	}
	name := []byte(filepath.Base(path))
	for line := range bytes.Lines(mounts) {
		if !bytes.Contains(line, name) && !bytes.ContainsRune(line, '\\') { // most are of something else
			continue
		}
		const point = 4 // the field of the mount point, from 0
		if fields := bytes.Fields(line); len(fields) > point && unescape(fields[point]) == path {
			return true
		}
	}
	return false
}

// unescape undoes the escapes of mountinfo: a space is \040.
func unescape(field []byte) string {
	if !bytes.Contains(field, []byte{'\\'}) {
		return string(field)
	}
	var path []byte
	for i := 0; i < len(field); i++ {
		if field[i] == '\\' && i+3 < len(field) {
			if code, err := strconv.ParseUint(string(field[i+1:i+4]), 8, 8); err == nil {
				path, i = append(path, byte(code)), i+3
				continue
			}
		}
		path = append(path, field[i])
	}
	return string(path)
}
