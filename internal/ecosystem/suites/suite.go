package main

// A suite is the tests of a module.
type suite struct {
	module, version string
	packages        []string
	drivers         string // the names under which the tests look for their driver
	environment     []string
	skip            []skip // what can't pass, with a reason
}

// A skip is a test that is not run. The reason stands in results.md.
type skip struct{ test, reason string }

var suites = []suite{
	{module: "github.com/jmoiron/sqlx", version: "v1.4.0", packages: []string{"./..."}, drivers: "sqlite3",
		environment: []string{"SQLX_SQLITE_DSN=sqlx.db", "SQLX_POSTGRES_DSN=skip", "SQLX_MYSQL_DSN=skip"}},
	{module: "gorm.io/gorm", version: "v1.31.2", packages: []string{"./..."}, drivers: "sqlite3"},
	{module: "gorm.io/driver/sqlite", version: "v1.6.0", packages: []string{"./..."}, drivers: "sqlite3"},
	{module: "github.com/glebarez/sqlite", version: "v1.11.0", packages: []string{"./..."}, drivers: "sqlite",
		skip: []skip{{"TestErrorTranslator", "it knows the error type of github.com/glebarez/go-sqlite alone; gorm.io/driver/sqlite translates the errors of any driver that have an ExtendedCode"}}},
	{module: "github.com/alexedwards/scs/sqlite3store", version: "v0.0.0-20251002162104-209de6e426de", packages: []string{"./..."}, drivers: "sqlite3"},
	{module: "github.com/pressly/goose/v3", version: "v3.30.0", packages: []string{".", "./database", "./tests/gomigrations/..."}, drivers: "sqlite",
		skip: []skip{
			{"TestProviderRun/tx_partial_errors", "it compares the text of an error with that of modernc.org/sqlite, which ends in (1)"},
			{"TestDialectStore/sqlite3", "it looks for the error type of modernc.org/sqlite"},
			{"TestSQLiteSharedCache/no_shared_cache", "it shows that each connection has a :memory: of its own; here all of a *sql.DB share one"},
		}},
	{module: "github.com/golang-migrate/migrate/v4", version: "v4.20.1", packages: []string{"./database/sqlite"}, drivers: "sqlite"},
	{module: "github.com/golang-migrate/migrate/v4", version: "v4.20.1", packages: []string{"./database/sqlite3"}, drivers: "sqlite3"},
	{module: "github.com/rubenv/sql-migrate", version: "v1.8.1", packages: []string{"."}, drivers: "sqlite3"},
	{module: "github.com/pocketbase/pocketbase", version: "v0.36.8", packages: []string{"./core", "./apis", "./forms", "./migrations/...", "./tools/search", "./tools/dbutils"}, drivers: "sqlite"},
}
