package tenants

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The file of a tenant has this extension. It keeps the log of tenant "a", which is a.db-wal,
// apart from the file of tenant "a-wal", which is a-wal.db.
const extension = ".db"

// longestName is how long a file's name may be on common file systems, in bytes. SQLite appends as much as "-journal" to it.
const longestName = 255 - len("-journal")

// Directory returns a [Options.Path] that keeps each tenant's database as a file in directory, which must exist.
//
// It takes any name but the empty one. The bytes a to z, 0 to 9, "_" and "-" stand as they are,
// every other one as "=" and two hexadecimal digits, and the extension is .db: "acme" is acme.db, "Ü/1" is =c3=9c=2f1.db.
// So no two names meet, whether the file system tells capitals apart or not, and none leads out of the directory.
// The first byte of a name that some system takes for a device is written in the second form too: "con" is =63on.db.
// The error says that the name is empty, or that it is too long to be the name of a file.
// A call makes the file of any other name: see the example for how to admit those alone that are known.
func Directory(directory string) func(tenant string) (string, error) {
	absolute, err := filepath.Abs(directory)
	if err == nil && directory == "" {
		err = errors.New("the directory is empty: name one")
	}
	return func(tenant string) (string, error) {
		if err != nil {
			return "", err
		}
		name, err := encode(tenant)
		if err != nil {
			return "", err
		}
		return filepath.Join(absolute, name), nil
	}
}

// List returns the names of the tenants whose databases are in a directory as [Directory] makes them, sorted.
// It passes over every other file, such as a database's log.
func List(directory string) ([]string, error) {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil, fmt.Errorf("headpond/tenants: list: %w", err)
	}
	var tenants []string
	for _, entry := range entries {
		if tenant, ok := decode(entry.Name()); ok && !entry.IsDir() {
			tenants = append(tenants, tenant)
		}
	}
	slices.Sort(tenants)
	return tenants, nil
}

// encode returns the name of a tenant's file.
func encode(tenant string) (string, error) {
	if tenant == "" {
		return "", errors.New("the name is empty")
	}
	var name strings.Builder
	name.Grow(len(tenant) + len(extension))
	device := isDevice(tenant)
	for i := range len(tenant) {
		if c := tenant[i]; plain(c) && (i > 0 || !device) {
			name.WriteByte(c)
		} else {
			const digits = "0123456789abcdef"
			name.Write([]byte{'=', digits[c>>4], digits[c&15]})
		}
	}
	if length := name.Len() + len(extension); length > longestName {
		return "", fmt.Errorf("the name of its file would have %d bytes, and may have %d", length, longestName)
	}
	name.WriteString(extension)
	return name.String(), nil
}

// decode returns the tenant whose file has that name; false if it is none that encode makes.
func decode(name string) (tenant string, ok bool) {
	encoded, ok := strings.CutSuffix(name, extension)
	if !ok {
		return "", false
	}
	decoded := make([]byte, 0, len(encoded))
	for i := 0; i < len(encoded); i++ {
		if encoded[i] != '=' {
			decoded = append(decoded, encoded[i])
			continue
		}
		if i+2 >= len(encoded) {
			return "", false
		}
		high, low := digit(encoded[i+1]), digit(encoded[i+2])
		if high < 0 || low < 0 {
			return "", false
		}
		decoded = append(decoded, byte(high<<4|low))
		i += 2
	}
	tenant = string(decoded)
	again, err := encode(tenant)
	return tenant, err == nil && again == name
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

func digit(c byte) int { return strings.IndexByte("0123456789abcdef", c) }

// isDevice reports whether Windows takes a file of that name for a device, whatever its extension.
// Of its names those with other bytes than plain ones need no care.
// See https://learn.microsoft.com/windows/win32/fileio/naming-a-file.
func isDevice(name string) bool {
	switch name {
	case "con", "prn", "aux", "nul":
		return true
	}
	return len(name) == 4 && (name[:3] == "com" || name[:3] == "lpt") && name[3] >= '0' && name[3] <= '9'
}
