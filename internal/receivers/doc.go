// Package receivers tests what package tracing says against real receivers:
// a Prometheus that scrapes, and an OpenTelemetry Collector that is sent spans;
// with pools of its own, and with the example service. The page of package poolz is tested in a real browser,
// and the files in docs/operating with Prometheus' promtool; each of these where it is installed.
// It is a module of its own, so that nobody else depends on exporters.
//
//	HEADPOND_RECEIVERS=1 go test -C internal/receivers -count=1 -v .
//
// needs prometheus in the PATH (Debian's package does), and builds a collector from its modules,
// which takes a minute or two; HEADPOND_COLLECTOR names one that was built before.
package receivers
