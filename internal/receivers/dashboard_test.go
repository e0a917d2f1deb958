package receivers

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the dashboard of Grafana anew")

// operating is where the files for operators are.
const operating = "../../docs/operating"

// panel is one of the dashboard: a title, what it is for, a unit of Grafana's, and expressions by their legend.
type panel struct {
	title, help, unit string
	stat              bool // one number, of now
	wide              int  // of 24 columns
	lines             []line
}

type line struct{ legend, expression string }

type row struct {
	title  string
	panels []panel
}

// In expressions, of stands for the labels of the pools that were chosen, and db for those of the databases.
func dashboard() []row {
	const byPool = "{{db_client_connection_pool_name}}"
	quantile := func(q float64, name string) string {
		return fmt.Sprintf(`histogram_quantile(%g, sum by (le, db_client_connection_pool_name) (rate(%s_bucket{of}[$__rate_interval])))`, q, name)
	}
	return []row{
		{"Now", []panel{
			{"Callers that wait", "In the queue, for a build, and in that of Batch.", "short", true, 6, []line{{"", `sum(db_client_connection_pending_requests{of})`}}},
			{"Timed out in 5 minutes", "Acquires that ran out of time.", "short", true, 6, []line{{"", `sum(increase(db_client_connection_timeouts_total{of}[5m]))`}}},
			{"The longest wait", "Of those that wait now.", "s", true, 6, []line{{"", `max(headpond_resource_oldest_wait_seconds{of})`}}},
			{"The oldest lease", "For how long it has been held.", "s", true, 6, []line{{"", `max(headpond_resource_oldest_use_seconds{of})`}}},
		}},
		{"Pools", []panel{
			{"Held, of the maximum", "At 1 every value is held: the next caller waits.", "percentunit", false, 8, []line{
				{byPool, `sum without (db_client_connection_state) (db_client_connection_count{db_client_connection_state="used",of}) / db_client_connection_max{of}`}}},
			{"Callers that wait", "Now and then is well; a plateau is not.", "short", false, 8, []line{{byPool, `db_client_connection_pending_requests{of}`}}},
			{"Acquires a second", "Those that failed included.", "ops", false, 8, []line{{byPool, `sum without (error_type) (rate(db_client_connection_wait_time_seconds_count{of}[$__rate_interval]))`}}},
			{"Wait, 99 of 100", "How long it took to get a connection, building and checks included.", "s", false, 8, []line{{byPool, quantile(.99, "db_client_connection_wait_time_seconds")}}},
			{"Use, 99 of 100", "For how long connections are held.", "s", false, 8, []line{{byPool, quantile(.99, "db_client_connection_use_time_seconds")}}},
			{"Acquires that failed, a second", "By the kind of their error: timeout, canceled, saturated, SQLite's code.", "ops", false, 8, []line{
				{byPool + " {{error_type}}", `rate(db_client_connection_wait_time_seconds_count{error_type!="",of}[$__rate_interval])`}}},
			{"Builds that failed, a second", "By the kind of their error.", "ops", false, 8, []line{
				{byPool + " {{error_type}}", `rate(db_client_connection_create_time_seconds_count{error_type!="",of}[$__rate_interval])`}}},
			{"Destroyed a second", "By the reason for it.", "ops", false, 8, []line{{byPool + " {{headpond_destroy_reason}}", `rate(headpond_resource_destroyed_total{of}[$__rate_interval])`}}},
			{"Leaks in an hour", "Leases that were held for longer than LeakAfter.", "short", false, 8, []line{{byPool, `increase(headpond_resource_leaked_total{of}[1h])`}}},
		}},
		{"Operations", []panel{
			{"Operations a second", "Calls of Read, Write and Batch.", "ops", false, 8, []line{
				{"{{db_namespace}} {{db_operation_name}}", `sum by (db_namespace, db_operation_name) (rate(db_client_operation_duration_seconds_count{db_system_name="sqlite"}[$__rate_interval]))`}}},
			{"Operations, 99 of 100", "How long they took, the wait for a connection and the commit included.", "s", false, 8, []line{
				{"{{db_namespace}} {{db_operation_name}}", `histogram_quantile(0.99, sum by (le, db_namespace, db_operation_name) (rate(db_client_operation_duration_seconds_bucket{db_system_name="sqlite"}[$__rate_interval])))`}}},
			{"Operations that failed, a second", "By the kind of the error that the caller got.", "ops", false, 8, []line{
				{"{{db_namespace}} {{db_operation_name}} {{error_type}}", `sum by (db_namespace, db_operation_name, error_type) (rate(db_client_operation_duration_seconds_count{db_system_name="sqlite",error_type!=""}[$__rate_interval]))`}}},
		}},
		{"Databases", []panel{
			{"Calls of Batch, and its commits, a second", "Many calls to a commit are what Batch is for.", "ops", false, 8, []line{
				{byPool + " calls", `rate(headpond_sqlite_batch_calls_total{db}[$__rate_interval])`}, {byPool + " commits", `rate(headpond_sqlite_batches_total{db}[$__rate_interval])`},
				{byPool + " retries", `rate(headpond_sqlite_batch_retries_total{db}[$__rate_interval])`}}},
			{"Batch's queue", "Calls that wait for their turn.", "short", false, 8, []line{{byPool, `headpond_sqlite_batch_waiting{db}`}}},
			{"The write-ahead log, and its limit", "Past its limit it is truncated, unless a snapshot pins it.", "bytes", false, 8, []line{
				{byPool, `headpond_sqlite_wal_size_bytes{db}`}, {byPool + " limit", `headpond_sqlite_wal_size_limit_bytes{db}`}}},
			{"The log is pinned", "For how long the same snapshot has kept it from starting over.", "s", false, 8, []line{{byPool, `headpond_sqlite_wal_pinned_seconds{db}`}}},
			{"Checkpoints a second", "By what they came to.", "ops", false, 8, []line{
				{byPool + " truncated", `rate(headpond_sqlite_wal_truncated_total{db}[$__rate_interval])`}, {byPool + " incomplete", `rate(headpond_sqlite_wal_incomplete_total{db}[$__rate_interval])`},
				{byPool + " locked", `rate(headpond_sqlite_wal_locked_total{db}[$__rate_interval])`}, {byPool + " failed", `rate(headpond_sqlite_wal_failed_total{db}[$__rate_interval])`}}},
			{"Findings in an hour", "What borrowers left behind on connections.", "short", false, 8, []line{
				{byPool + " {{headpond_finding_kind}}", `increase(headpond_sqlite_findings_total{db}[1h]) > 0`}}},
		}},
		{"Tenants", []panel{
			{"Databases that are open, and how many may be", "At the limit, the least recently used one is closed for each that opens.", "short", false, 12, []line{
				{"open", `headpond_sqlite_tenants_open`}, {"limit", `headpond_sqlite_tenants_open_limit`}, {"tenants that wait", `headpond_sqlite_tenants_waiting`}}},
			{"Opened and closed a second", "Many evictions are a limit that is too low.", "ops", false, 12, []line{
				{"opened", `rate(headpond_sqlite_tenants_opened_total[$__rate_interval])`}, {"evicted", `rate(headpond_sqlite_tenants_evicted_total[$__rate_interval])`},
				{"failed", `rate(headpond_sqlite_tenants_open_failed_total[$__rate_interval])`}}},
		}},
	}
}

// labelled puts the labels that the variables of the dashboard choose into an expression.
func labelled(expression string) string {
	expression = strings.ReplaceAll(expression, "of}", `db_client_connection_pool_name=~"$pool"}`)
	return strings.ReplaceAll(expression, "{db}", `{db_client_connection_pool_name=~"$database"}`)
}

// model is the dashboard as Grafana imports it.
func model() map[string]any {
	type object = map[string]any
	source := object{"type": "prometheus", "uid": "${datasource}"}
	variable := func(name, label, metric string) object {
		query := "label_values(" + metric + ", db_client_connection_pool_name)"
		return object{"name": name, "label": label, "type": "query", "datasource": source, "definition": query, "query": object{"query": query, "refId": "A"},
			"refresh": 2, "includeAll": true, "multi": true, "allValue": ".*", "current": object{"text": "All", "value": "$__all"}}
	}
	panels, id, y := []object{}, 0, 0
	for _, row := range dashboard() {
		id++
		panels = append(panels, object{"id": id, "type": "row", "title": row.title, "collapsed": false, "panels": []object{}, "gridPos": object{"x": 0, "y": y, "w": 24, "h": 1}})
		x, height := 0, 8
		y++
		for _, p := range row.panels {
			id++
			kind := "timeseries"
			if height = 8; p.stat {
				kind, height = "stat", 4
			}
			if x+p.wide > 24 {
				x, y = 0, y+height
			}
			targets := []object{}
			for i, line := range p.lines {
				targets = append(targets, object{"refId": string(rune('A' + i)), "datasource": source, "expr": labelled(line.expression), "legendFormat": line.legend})
			}
			panels = append(panels, object{"id": id, "type": kind, "title": p.title, "description": p.help, "datasource": source, "targets": targets,
				"fieldConfig": object{"defaults": object{"unit": p.unit, "min": 0}, "overrides": []object{}}, "gridPos": object{"x": x, "y": y, "w": p.wide, "h": height}})
			x += p.wide
		}
		y += height
	}
	return object{
		"uid": "headpond", "title": "headpond", "tags": []string{"headpond", "sqlite"}, "schemaVersion": 39, "editable": true,
		"description": "Pools and SQLite databases of headpond. What each panel and alert means: docs/operating/README.md.",
		"time":        object{"from": "now-1h", "to": "now"}, "refresh": "30s", "panels": panels,
		"templating": object{"list": []object{
			{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
			variable("pool", "Pool", "db_client_connection_max"),
			variable("database", "Database", "headpond_sqlite_wal_size_bytes"),
		}},
	}
}

// TestDashboard holds that the dashboard in the repository is the one that is made here.
func TestDashboard(t *testing.T) {
	made, err := json.MarshalIndent(model(), "", "  ")
	require.NoError(t, err)
	made = append(made, '\n')
	path := filepath.Join(operating, "dashboard.json")
	if *update {
		require.NoError(t, os.WriteFile(path, made, 0o644))
	}
	kept, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(made), string(kept), "make it anew with: go test -C internal/receivers -run TestDashboard -update .")
}

// ownName matches the names of our metrics and of their labels.
var ownName = regexp.MustCompile(`\b(db|headpond)_[a-z_]+`)

var comment = regexp.MustCompile(`(?m)^#.*$`)

// TestNamesOfTheOperatorsExist holds that alerts and dashboard name nothing that is not exported.
func TestNamesOfTheOperatorsExist(t *testing.T) {
	known := map[string]bool{}
	for _, name := range ownName.FindAllString(exported(t), -1) {
		known[name] = true
	}
	require.Greater(t, len(known), 50)
	for _, file := range []string{"alerts.yml", "dashboard.json"} {
		text, err := os.ReadFile(filepath.Join(operating, file))
		require.NoError(t, err)
		names := ownName.FindAllString(comment.ReplaceAllString(string(text), ""), -1)
		require.NotEmpty(t, names)
		for _, name := range names {
			assert.True(t, known[name], "%s: nothing exports %s", file, name)
		}
	}
}

// TestPromtoolChecksTheDashboard has Prometheus' own tool read every expression.
func TestPromtoolChecksTheDashboard(t *testing.T) {
	rules := "groups:\n- name: dashboard\n  rules:\n"
	count := 0
	for _, row := range dashboard() {
		for _, p := range row.panels {
			for _, line := range p.lines {
				count++
				expression := strings.NewReplacer("$__rate_interval", "1m", "$pool", ".*", "$database", ".*").Replace(labelled(line.expression))
				rules += fmt.Sprintf("  - {record: 'panel:%d', expr: '%s'}\n", count, expression)
			}
		}
	}
	out, err := promtool(t, "", "check", "rules", write(t, "rules.yml", rules))
	require.NoError(t, err, out)
	assert.Contains(t, out, fmt.Sprintf("SUCCESS: %d rules found", count))
}
