package receivers

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// firing are the series of pools that are not well, a sample each 30 s, and what of them each alert says after a time.
var firing = struct {
	series [][2]string
	alerts []expectedAlert
}{
	[][2]string{
		{`db_client_connection_timeouts_total{db_client_connection_pool_name="orders.writer"}`, "0 0 51x60"},
		{`headpond_resource_timeouts_total{headpond_pool_name="sessions"}`, "0 0 3x60"},
		{`headpond_resource_oldest_wait_seconds{db_client_connection_pool_name="orders.writer"}`, "0 1.5x60"},
		{`db_client_connection_count{db_client_connection_pool_name="orders.readers",db_client_connection_state="used"}`, "4x60"},
		{`db_client_connection_count{db_client_connection_pool_name="orders.readers",db_client_connection_state="idle"}`, "0x60"},
		{`db_client_connection_max{db_client_connection_pool_name="orders.readers"}`, "4x60"},
		{`headpond_resource_count{headpond_pool_name="sessions",headpond_resource_state="used"}`, "2x60"},
		{`headpond_resource_max{headpond_pool_name="sessions"}`, "2x60"},
		{`headpond_resource_oldest_use_seconds{db_client_connection_pool_name="orders.readers"}`, "0+30x60"},
		{`headpond_resource_leaked_total{db_client_connection_pool_name="orders.readers"}`, "0x4 1x60"},
		{`db_client_connection_create_time_seconds_count{db_client_connection_pool_name="orders.readers",error_type="SQLITE_CANTOPEN"}`, "0+1x60"},
		{`db_client_connection_create_time_seconds_count{db_client_connection_pool_name="orders.readers"}`, "4x60"},
		{`headpond_resource_create_time_seconds_count{headpond_pool_name="sessions",error_type="*net.OpError"}`, "0+1x60"},
		{`headpond_resource_destroyed_total{headpond_pool_name="sessions",headpond_destroy_reason="check_failed"}`, "0+6x60"},
		{`headpond_resource_destroyed_total{headpond_pool_name="sessions",headpond_destroy_reason="max_lifetime"}`, "0+60x60"},
		{`db_client_operation_duration_seconds_count{db_system_name="sqlite",db_namespace="orders.db",db_operation_name="write",error_type="SQLITE_FULL"}`, "0+20x60"},
		{`db_client_operation_duration_seconds_count{db_system_name="sqlite",db_namespace="orders.db",db_operation_name="write",error_type="canceled"}`, "0+60x60"},
		{`db_client_operation_duration_seconds_count{db_system_name="sqlite",db_namespace="orders.db",db_operation_name="read"}`, "0+20x60"},
		{`db_client_operation_duration_seconds_count{db_system_name="sqlite",db_namespace="calm.db",db_operation_name="read"}`, "0+14x60"},
		{`headpond_sqlite_findings_total{db_client_connection_pool_name="orders",headpond_finding_kind="pragma"}`, "0x4 2x60"},
		{`headpond_sqlite_wal_pinned_seconds{db_client_connection_pool_name="orders"}`, "0+30x60"},
		{`headpond_sqlite_wal_size_bytes{db_client_connection_pool_name="orders"}`, "201326592x60"},
		{`headpond_sqlite_wal_size_limit_bytes{db_client_connection_pool_name="orders"}`, "67108864x60"},
		{`headpond_sqlite_wal_failed_total{db_client_connection_pool_name="orders"}`, "0x4 1x60"},
		{`headpond_sqlite_batch_retries_total{db_client_connection_pool_name="orders"}`, "0+30x60"},
		{`headpond_sqlite_batch_calls_total{db_client_connection_pool_name="orders"}`, "0+60x60"},
		{`headpond_sqlite_tenants_waiting{db_client_connection_pool_name="tenants"}`, "2x60"},
		{`headpond_sqlite_tenants_failing{db_client_connection_pool_name="tenants"}`, "1x60"},
	},
	[]expectedAlert{
		{"HeadpondCallersTimeOut", "3m", "critical", "orders.writer", "", "pool orders.writer: acquires that timed out in 5 minutes: 51"},
		{"HeadpondCallersTimeOut", "3m", "critical", "sessions", "", "pool sessions: acquires that timed out in 5 minutes: 3"},
		{"HeadpondCallersWait", "3m", "warning", "orders.writer", "", "pool orders.writer: a caller has waited for 1.5s"},
		{"HeadpondPoolIsFull", "11m", "warning", "orders.readers", "", "pool orders.readers: all 4 values have been held for 10 minutes"},
		{"HeadpondPoolIsFull", "11m", "warning", "sessions", "", "pool sessions: all 2 values have been held for 10 minutes"},
		{"HeadpondLeaseIsHeld", "6m", "warning", "orders.readers", "", "pool orders.readers: a lease has been held for 6m 0s"},
		{"HeadpondLeaseLeaks", "3m", "warning", "orders.readers", "", "pool orders.readers: leases held for longer than LeakAfter in 15 minutes: 1"},
		{"HeadpondNothingIsBuilt", "10m", "critical", "orders.readers", "", "pool orders.readers: none succeeded of the builds in 5 minutes, and so many failed: 10"},
		{"HeadpondNothingIsBuilt", "10m", "critical", "sessions", "", "pool sessions: none succeeded of the builds in 5 minutes, and so many failed: 10"},
		{"HeadpondValuesDoNotLast", "20m", "warning", "sessions", "", "pool sessions: values destroyed in 10 minutes because they were not sound: 120"},
		{"HeadpondOperationsFail", "20m", "warning", "", "", "database orders.db: 20% of the calls of Read, Write and Batch failed"},
		{"HeadpondBorrowerLeavesThings", "10m", "info", "orders", "pragma", "database orders: pragma was found on a released connection"},
		{"HeadpondLogIsPinned", "5m", "warning", "orders", "", "database orders: a snapshot has kept the write-ahead log from starting over for 5m 0s"},
		{"HeadpondLogIsPastItsLimit", "6m", "warning", "orders", "", "database orders: the write-ahead log has 192MiB, twice its limit and more"},
		{"HeadpondCheckpointsFail", "3m", "critical", "orders", "", "database orders: checkpoints that failed in 15 minutes: 1"},
		{"HeadpondBatchRunsTwice", "29m", "info", "orders", "", "database orders: calls of Batch that run a second time, each second: 1"},
		{"HeadpondTenantsWait", "3m", "warning", "tenants", "", "tenants: tenants that wait for a place: 2"},
		{"HeadpondTenantsDoNotOpen", "3m", "critical", "tenants", "", "tenants: tenants whose database can not be opened: 1"},
	},
}

// quiet are the series of pools that are well, though they are used.
var quiet = [][2]string{
	{`db_client_connection_timeouts_total{db_client_connection_pool_name="orders.writer"}`, "7x90"},
	{`headpond_resource_oldest_wait_seconds{db_client_connection_pool_name="orders.writer"}`, "0 2 0 1.5 0 2x1 0x84"}, // never for a minute
	{`db_client_connection_count{db_client_connection_pool_name="orders.writer",db_client_connection_state="used"}`, "1x90"},
	{`db_client_connection_max{db_client_connection_pool_name="orders.writer"}`, "1x90"}, // the writer may well be held
	{`db_client_connection_count{db_client_connection_pool_name="orders.readers",db_client_connection_state="used"}`, "4x18 3 4x18 3 4x18 3 4x18 3"},
	{`db_client_connection_max{db_client_connection_pool_name="orders.readers"}`, "4x90"},
	{`headpond_resource_oldest_use_seconds{db_client_connection_pool_name="orders.readers"}`, "250x90"},
	{`headpond_resource_leaked_total{db_client_connection_pool_name="orders.readers"}`, "0x90"},
	{`db_client_connection_create_time_seconds_count{db_client_connection_pool_name="orders.readers",error_type="SQLITE_BUSY"}`, "0+1x90"},
	{`db_client_connection_create_time_seconds_count{db_client_connection_pool_name="orders.readers"}`, "0+1x90"}, // some succeed
	{`headpond_resource_destroyed_total{db_client_connection_pool_name="orders.readers",headpond_destroy_reason="max_lifetime"}`, "0+60x90"},
	{`headpond_sqlite_findings_total{db_client_connection_pool_name="orders",headpond_finding_kind="pragma"}`, "3x90"},
	{`db_client_operation_duration_seconds_count{db_system_name="sqlite",db_namespace="orders.db",db_operation_name="write",error_type="SQLITE_FULL"}`, "0+6x90"},
	{`db_client_operation_duration_seconds_count{db_system_name="sqlite",db_namespace="orders.db",db_operation_name="write",error_type="canceled"}`, "0+60x90"},
	{`db_client_operation_duration_seconds_count{db_system_name="sqlite",db_namespace="orders.db",db_operation_name="read"}`, "0+90x90"},
	{`headpond_sqlite_wal_pinned_seconds{db_client_connection_pool_name="orders"}`, "0 30 0 30x87"},
	{`headpond_sqlite_wal_size_bytes{db_client_connection_pool_name="orders"}`, "67000000x90"},
	{`headpond_sqlite_wal_size_limit_bytes{db_client_connection_pool_name="orders"}`, "67108864x90"},
	{`headpond_sqlite_wal_failed_total{db_client_connection_pool_name="orders"}`, "0x90"},
	{`headpond_sqlite_batch_retries_total{db_client_connection_pool_name="orders"}`, "0+1x90"},
	{`headpond_sqlite_batch_calls_total{db_client_connection_pool_name="orders"}`, "0+60x90"},
	{`headpond_sqlite_tenants_waiting{db_client_connection_pool_name="tenants"}`, "0 2 0 1 0x86"},
	{`headpond_sqlite_tenants_failing{db_client_connection_pool_name="tenants"}`, "0x90"},
}

type expectedAlert struct{ name, after, severity, pool, finding, summary string }

// labels are those of the alert in YAML.
func (a expectedAlert) labels() string {
	name := "db_client_connection_pool_name"
	if a.pool == "sessions" {
		name = "headpond_pool_name"
	}
	if a.pool == "" {
		return "severity: " + a.severity + ", db_namespace: orders.db"
	}
	labels := fmt.Sprintf("severity: %s, %s: %s", a.severity, name, a.pool)
	if a.finding != "" {
		labels += ", headpond_finding_kind: " + a.finding
	}
	return labels
}

var alertName = regexp.MustCompile(`(?m)^  - alert: (\w+)$`)

// alerts returns the names of the alerts in the repository, and the path of their file.
func alerts(t *testing.T) (names []string, path string) {
	path, err := filepath.Abs(filepath.Join(operating, "alerts.yml"))
	require.NoError(t, err)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, found := range alertName.FindAllStringSubmatch(string(text), -1) {
		names = append(names, found[1])
	}
	require.NotEmpty(t, names)
	return names, path
}

func inputs(series [][2]string) (text string) {
	for _, s := range series {
		text += fmt.Sprintf("  - {series: '%s', values: '%s'}\n", s[0], s[1])
	}
	return text
}

// TestAlertsFire has Prometheus' own tool load the alerts: each fires on what it is for, with what it says, and none on pools that are well.
func TestAlertsFire(t *testing.T) {
	names, path := alerts(t)
	expected := map[string][]expectedAlert{}
	for _, a := range firing.alerts {
		expected[a.name] = append(expected[a.name], a)
	}
	text := "rule_files: ['" + path + "']\nevaluation_interval: 30s\ntests:\n- interval: 30s\n  input_series:\n" + inputs(firing.series) + "  alert_rule_test:\n"
	for _, name := range names {
		require.NotEmpty(t, expected[name], "%s: nothing here fires it", name)
		text += fmt.Sprintf("  - alertname: %s\n    eval_time: %s\n    exp_alerts:\n", name, expected[name][0].after)
		for _, a := range expected[name] {
			text += fmt.Sprintf("    - exp_labels: {%s}\n      exp_annotations:\n        summary: '%s'\n        runbook_url: https://github.com/headpond/headpond/blob/main/docs/operating/README.md#%s\n",
				a.labels(), a.summary, strings.ToLower(name))
		}
	}
	text += "- interval: 30s\n  input_series:\n" + inputs(quiet) + "  alert_rule_test:\n"
	for minute := 1; minute <= 44; minute++ {
		for _, name := range names {
			text += fmt.Sprintf("  - {alertname: %s, eval_time: %dm, exp_alerts: []}\n", name, minute)
		}
	}
	out, err := promtool(t, "", "test", "rules", write(t, "alerts_test.yml", text))
	assert.NoError(t, err, out)
	assert.Contains(t, out, "SUCCESS")
	assert.Len(t, expected, len(names), "every one that is expected exists")
	out, err = promtool(t, "", "check", "rules", path)
	assert.NoError(t, err, out)
}

// TestAlertsAreExplained holds that the page for operators has a chapter for each.
func TestAlertsAreExplained(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(operating, "README.md"))
	require.NoError(t, err)
	names, _ := alerts(t)
	for _, name := range names {
		_, chapter, found := strings.Cut(string(page), "\n### "+name+"\n")
		assert.True(t, found, name)
		chapter, _, _ = strings.Cut(chapter, "\n#")
		assert.Contains(t, chapter, "**It means**", name)
		assert.Contains(t, chapter, "**Do**", name)
	}
	assert.Equal(t, len(names), strings.Count(string(page), "\n### Headpond"), "no chapter is of an alert that is gone")
}
