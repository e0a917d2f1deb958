package postgres

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRead_WhatATextMayLeaveBehind(t *testing.T) {
	for text, want := range map[string]statements{
		"":         {},
		"SELECT 1": {},
		"begin isolation level repeatable read read only":                      {},
		"INSERT INTO temp (hold, local) VALUES ($1, 'SET x = 1')":              {},
		"SELECT temp, temporary FROM weather":                                  {},
		"UPDATE t SET a = 1":                                                   {},
		"SELECT 'it''s; LISTEN x' || E'\\'; LISTEN x' || $$; LISTEN x$$":       {},
		"SELECT $tag$ $$ ; LISTEN x $tag$, $1, 1e5, 0x1F":                      {},
		"-- LISTEN x\nSELECT /* ; LISTEN /* nested */ ; LISTEN y */ 1 -- DO":   {},
		"DECLARE c CURSOR FOR SELECT 1":                                        {},
		"CREATE TABLE t (temp int)":                                            {},
		"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC; SELECT 1; END":          {},
		"UNLISTEN *; CLOSE ALL; DISCARD TEMP; DISCARD PLANS; FETCH 1 FROM c":   {},
		"SET CONSTRAINTS ALL DEFERRED":                                         {},
		"SELECT pg_advisory_xact_lock(1), pg_advisory_unlock(2)":               {},
		"SELECT a FROM t WHERE b - 1 > c / 2 AND d <> '$' AND \"SET\" = \"x\"": {},

		"SET LOCAL x = 1": {locals: 1},
		"SET TRANSACTION READ ONLY; set local a.b = 'c'":                    {locals: 2},
		"SELECT set_config('a.b', $1, true)":                                {},
		"SELECT set_config('a.b', concat('x', (SELECT 'y, false')), TRUE )": {},

		"SET work_mem = '5MB'":                                 {effects: changesSession, settings: []string{"work_mem"}},
		"/* why */ set SESSION work_mem to '5MB'":              {effects: changesSession, settings: []string{"work_mem"}},
		"BEGIN; SET App.Me = 'x'":                              {effects: changesSession, settings: []string{"app.me"}},
		"SET TIME ZONE 'UTC'":                                  {effects: changesSession, settings: []string{"timezone"}},
		"SET NAMES 'UTF8'":                                     {effects: changesSession, settings: []string{"client_encoding"}},
		"SET ROLE bob":                                         {effects: changesSession, settings: []string{"role"}},
		"SET SESSION AUTHORIZATION bob":                        {effects: changesSession, settings: []string{"session_authorization"}},
		"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY": {effects: changesSession | unknown},
		"SELECT set_config('work_mem', '5MB', false)":          {effects: changesSession, settings: []string{"work_mem"}},
		"SELECT pg_catalog.set_config('a.b', 'true', $1)":      {effects: changesSession, settings: []string{"a.b"}},
		"SELECT set_config($1, $2, false)":                     {effects: changesSession | unknown},
		"SELECT \"set_config\"('a.b', 'x', a.true)":            {effects: changesSession, settings: []string{"a.b"}},
		"RESET ALL":          {effects: changesSession},
		"LISTEN x":           {effects: changesSession},
		"DO $$ BEGIN END $$": {effects: changesSession | unknown},
		"CALL p()":           {effects: changesSession | unknown},
		"DECLARE c CURSOR WITH HOLD FOR SELECT 1":                            {effects: changesSession},
		"PREPARE p AS SELECT 1":                                              {effects: changesSession | prepares},
		"CREATE TEMP TABLE t (a int)":                                        {effects: changesSession},
		"create or replace local temporary view v as select 1":               {effects: changesSession},
		"CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'": {effects: changesSession},
		"SELECT 1 AS a INTO TEMP t":                                          {effects: changesSession},
		"SELECT 1 AS a INTO LOCAL TEMPORARY t":                               {effects: changesSession},
		"EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT 1":                    {effects: changesSession},
		"SELECT pg_advisory_lock(1)":                                         {effects: changesSession},
		"SELECT pg_catalog.pg_try_advisory_lock_shared(1)":                   {effects: changesSession},

		"DEALLOCATE ALL":           {effects: dropsStatements},
		"DEALLOCATE PREPARE all":   {effects: dropsStatements},
		"DISCARD ALL":              {effects: dropsStatements},
		"DEALLOCATE p":             {dropped: []string{"p"}},
		"DEALLOCATE PREPARE \"P\"": {dropped: []string{"P"}},

		"LOAD 'auto_explain'":        {effects: lasts, lasting: "LOAD"},
		"SELECT dblink_connect('x')": {effects: lasts, lasting: "dblink_connect"},

		"COMMIT":                  {effects: commits},
		"SELECT 1; end":           {effects: commits},
		"PREPARE TRANSACTION 'x'": {effects: changesSession | prepares | commits},
		"ROLLBACK; ABORT; SAVEPOINT a; RELEASE a": {},
	} {
		assert.Equal(t, want, read([]byte(text)), text)
	}
}

func FuzzRead(f *testing.F) {
	for _, text := range []string{"SET x = 1", "$a$", "'", "/*", "E'\\", "set_config(", "\"", "--", "$1", "SELECT set_config('a', (1), true)"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		read([]byte(text)) // neither panics nor hangs
	})
}

func TestRead_AllocatesNothingWhereThereIsNothingToSay(t *testing.T) {
	text := []byte("begin isolation level repeatable read read only; SELECT set_config('a.b', 'c', true) FROM \"t\" WHERE x = 'y'")
	assert.Zero(t, testing.AllocsPerRun(100, func() { read(text) }))
}
