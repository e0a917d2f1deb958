package tracing

import "go.opentelemetry.io/otel/attribute"

// What the semantic conventions name, spelled here: package semconv would ask for the newest OpenTelemetry
// of every program that imports this one. A test in internal/receivers compares what is exported with semconv.
const (
	// schemaURL says which version of the conventions the names below are from.
	schemaURL = "https://opentelemetry.io/schemas/1.43.0"

	errorType       = attribute.Key("error.type")
	dbSystem        = attribute.Key("db.system.name")
	dbNamespace     = attribute.Key("db.namespace")
	connectionPool  = attribute.Key("db.client.connection.pool.name")
	connectionState = attribute.Key("db.client.connection.state")

	poolName = attribute.Key("headpond.pool.name") // without a System
)
