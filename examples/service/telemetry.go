package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
)

// telemetry installs the providers of OpenTelemetry as the environment says, and a page of metrics for Prometheus.
// flush sends what is left, and ends them.
func telemetry(ctx context.Context) (page http.Handler, flush func(), err error) {
	// The default of the specification is OTLP to this machine: here it is nowhere, until a variable speaks of OTLP.
	if !slices.ContainsFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "OTEL_EXPORTER_OTLP_") }) {
		for _, name := range []string{"OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"} {
			if os.Getenv(name) == "" {
				os.Setenv(name, "none")
			}
		}
	}
	tick := time.Tick(5 * time.Second) // a collector that is away does not flood the log
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		select {
		case <-tick:
			slog.Warn("telemetry", "err", err)
		default:
		}
	}))
	spans, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("OTEL_TRACES_EXPORTER and its like: %w", err)
	}
	pushed, err := autoexport.NewMetricReader(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("OTEL_METRICS_EXPORTER and its like: %w", err)
	}
	scraped, err := exporter.New()
	if err != nil {
		return nil, nil, err
	}
	tracers := trace.NewTracerProvider(trace.WithBatcher(spans))
	meters := metric.NewMeterProvider(metric.WithReader(pushed), metric.WithReader(scraped))
	otel.SetTracerProvider(tracers)
	otel.SetMeterProvider(meters)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	flush = func() {
		last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := errors.Join(tracers.Shutdown(last), meters.Shutdown(last)); err != nil {
			slog.Warn("telemetry: the last of it is lost", "err", err)
		}
	}
	return promhttp.HandlerFor(prometheus.DefaultGatherer, promhttp.HandlerOpts{EnableOpenMetrics: true}), flush, nil
}
