package receivers

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestService runs the example service under load, as a user would: its metrics are scraped,
// and its spans go over OTLP to a collector, told by nothing but the environment.
func TestService(t *testing.T) {
	wanted(t)
	collectorAddress, received := collect(t)
	program := filepath.Join(t.TempDir(), "service")
	build := exec.Command("go", "build", "-o", program, "./service")
	build.Dir = "../../examples"
	built, err := build.CombinedOutput()
	require.NoError(t, err, "%s", built)
	address := freeAddress(t)
	const secret = "s3cr3t"
	folder := filepath.Join(t.TempDir(), secret)
	require.NoError(t, os.Mkdir(folder, 0o700))
	start(t, []string{
		"OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_EXPORTER_OTLP_ENDPOINT=http://" + collectorAddress,
	}, program, "-listen", address, "-load", "10m", "-db", filepath.Join(folder, "orders.db"))
	prom := scrape(t, address)

	for _, pool := range []string{"orders.readers", "orders.writer"} {
		for _, name := range []string{"wait_time", "use_time"} {
			expression := fmt.Sprintf(`histogram_quantile(0.99, sum by (le) (rate(db_client_connection_%s_seconds_bucket{db_client_connection_pool_name=%q}[10s])))`, name, pool)
			var quantile float64
			require.Eventually(t, func() bool {
				quantile = prom.query(expression)
				return quantile > 0
			}, time.Minute, time.Second, expression)
			t.Logf("%s of %s, 0.99: %v s", name, pool, quantile)
			assert.Less(t, quantile, 5.)
		}
		require.Eventually(t, func() bool {
			return !math.IsNaN(prom.query(fmt.Sprintf(`sum(db_client_connection_count{db_client_connection_pool_name=%q})`, pool)))
		}, time.Minute, time.Second)
	}
	require.Eventually(t, func() bool { return prom.query("headpond_sqlite_batches_total") > 0 }, time.Minute, time.Second, "a figure of the backend's own")

	require.Eventually(t, func() bool {
		text := received.String()
		return strings.Contains(text, ": acquire orders.writer") && strings.Contains(text, ": batch orders.db") && strings.Contains(text, ": commit") && strings.Contains(text, ": release orders.readers")
	}, time.Minute, time.Second)
	assert.NotContains(t, received.String(), secret)
	assert.NotContains(t, received.String(), "INSERT")
}
