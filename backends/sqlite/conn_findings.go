package sqlite

import (
	"context"
	"fmt"
	"strings"
)

// findings are what one reset finds. The zero value is a clean connection.
type findings []Finding

func (f *findings) add(c *connection, kind FindingKind, detail string) {
	*f = append(*f, Finding{Kind: kind, Mode: c.mode, Detail: detail})
}

// report counts the findings and tells OnFinding of them.
func (f findings) report(ctx context.Context, db *database) {
	for _, finding := range f {
		db.found[finding.Kind].Add(1)
		if db.options.OnFinding != nil {
			db.options.OnFinding(ctx, finding)
		}
	}
}

// err returns an error that names the findings that cost the connection, or nil if there are none.
func (f findings) err() error {
	var all []string
	for _, finding := range f {
		if !finding.Kind.recoverable() {
			all = append(all, finding.String())
		}
	}
	if len(all) == 0 {
		return nil
	}
	return fmt.Errorf("headpond/sqlite: the borrower left behind: %s", strings.Join(all, ", "))
}
