package ecosystem

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/migrate"

	"github.com/headpond/headpond/backends/sqlite/stdlib"
)

type crew struct {
	bun.BaseModel `bun:"table:crews"`
	ID            int64     `bun:",pk,autoincrement"`
	Ship          string    `bun:",unique,notnull"`
	Sailors       []*sailor `bun:"rel:has-many,join:id=crew_id"`
}

type sailor struct {
	ID     int64 `bun:",pk,autoincrement"`
	CrewID int64
	Crew   *crew `bun:"rel:belongs-to,join:crew_id=id"`
	Name   string
	Aboard time.Time
	Fit    bool
	Knots  map[string]int // as JSON
	Left   *time.Time
}

func crews(t *testing.T) *bun.DB {
	db := bun.NewDB(open(t), sqlitedialect.New())
	_, err := db.NewCreateTable().Model((*crew)(nil)).Exec(t.Context())
	require.NoError(t, err)
	_, err = db.NewCreateTable().Model((*sailor)(nil)).ForeignKey("(crew_id) REFERENCES crews (id) ON DELETE CASCADE").Exec(t.Context())
	require.NoError(t, err)
	return db
}

func TestBun(t *testing.T) {
	db, ctx := crews(t), t.Context()
	ship := &crew{Ship: "Beagle"}
	_, err := db.NewInsert().Model(ship).Exec(ctx)
	require.NoError(t, err)
	require.NotZero(t, ship.ID, "by RETURNING")
	aboard := time.Date(1831, 12, 27, 11, 0, 0, 5, time.UTC)
	sailors := []*sailor{{CrewID: ship.ID, Name: "Charles", Aboard: aboard, Knots: map[string]int{"bowline": 3}}, {CrewID: ship.ID, Name: "Robert", Aboard: aboard, Fit: true, Left: &aboard}}
	_, err = db.NewInsert().Model(&sailors).Exec(ctx)
	require.NoError(t, err)

	got := new(crew)
	require.NoError(t, db.NewSelect().Model(got).Relation("Sailors", func(q *bun.SelectQuery) *bun.SelectQuery { return q.Order("sailor.id") }).Scan(ctx))
	require.Len(t, got.Sailors, 2)
	assert.Equal(t, map[string]int{"bowline": 3}, got.Sailors[0].Knots)
	assert.True(t, aboard.Equal(got.Sailors[0].Aboard))
	assert.Nil(t, got.Sailors[0].Left)
	assert.True(t, got.Sailors[1].Fit)
	one := new(sailor)
	require.NoError(t, db.NewSelect().Model(one).Relation("Crew").Where("sailor.name = ?", "Robert").Scan(ctx))
	assert.Equal(t, "Beagle", one.Crew.Ship)
	count, err := db.NewSelect().Model((*sailor)(nil)).Where("name IN (?)", bun.List([]string{"Charles", "Robert", "Syms"})).Count(ctx)
	require.NoError(t, err)
	assert.EqualValues(t, 2, count)

	_, err = db.NewInsert().Model(&crew{Ship: "Beagle"}).Exec(ctx)
	var failed *stdlib.Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, 2067, failed.ExtendedCode)
	_, err = db.NewInsert().Model(&crew{ID: ship.ID, Ship: "Adventure"}).On("CONFLICT (id) DO UPDATE").Set("ship = EXCLUDED.ship").Exec(ctx)
	require.NoError(t, err)
	_, err = db.NewInsert().Model(&sailor{CrewID: 99}).Exec(ctx)
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, 787, failed.ExtendedCode)

	result, err := db.NewUpdate().Model((*sailor)(nil)).Set("fit = ?", true).Where("fit = ?", false).Exec(ctx)
	require.NoError(t, err)
	changed, err := result.RowsAffected()
	require.NoError(t, err)
	assert.EqualValues(t, 1, changed)
	_, err = db.NewDelete().Model(ship).WherePK().Exec(ctx)
	require.NoError(t, err)
	count, err = db.NewSelect().Model((*sailor)(nil)).Count(ctx)
	require.NoError(t, err)
	assert.Zero(t, count, "the cascade")
}

func TestBun_Transactions(t *testing.T) {
	db, ctx := crews(t), t.Context()
	refused := errors.New("refused")
	require.ErrorIs(t, db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewInsert().Model(&crew{Ship: "gone"}).Exec(ctx)
		require.NoError(t, err)
		return refused
	}), refused)
	require.NoError(t, db.RunInTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable}, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewInsert().Model(&crew{Ship: "outer"}).Exec(ctx)
		require.NoError(t, err)
		require.ErrorIs(t, tx.RunInTx(ctx, nil, func(ctx context.Context, inner bun.Tx) error { // a savepoint
			_, err := inner.NewInsert().Model(&crew{Ship: "inner"}).Exec(ctx)
			require.NoError(t, err)
			return refused
		}), refused)
		return nil
	}))
	var ships []string
	require.NoError(t, db.NewSelect().Model((*crew)(nil)).Column("ship").Scan(ctx, &ships))
	assert.Equal(t, []string{"outer"}, ships)
}

func TestBun_Migrations(t *testing.T) {
	db, ctx := crews(t), t.Context()
	all := migrate.NewMigrations()
	all.Add(migrate.Migration{
		Name: "1",
		Up: func(ctx context.Context, _ *migrate.Migrator, _ *migrate.Migration) error {
			_, err := db.ExecContext(ctx, "ALTER TABLE crews ADD COLUMN port TEXT")
			return err
		},
		Down: func(ctx context.Context, _ *migrate.Migrator, _ *migrate.Migration) error {
			_, err := db.ExecContext(ctx, "ALTER TABLE crews DROP COLUMN port")
			return err
		},
	})
	migrator := migrate.NewMigrator(db, all)
	require.NoError(t, migrator.Init(ctx))
	require.NoError(t, migrator.Lock(ctx))
	require.Error(t, migrate.NewMigrator(db, all).Lock(ctx), "locked")
	group, err := migrator.Migrate(ctx)
	require.NoError(t, err)
	assert.Len(t, group.Migrations, 1)
	_, err = migrator.Rollback(ctx)
	require.NoError(t, err)
	require.NoError(t, migrator.Unlock(ctx))
}

func TestBun_Storm(t *testing.T) {
	db := crews(t)
	_, err := db.NewInsert().Model(&crew{Ship: "Ark"}).Exec(t.Context())
	require.NoError(t, err)
	storm(t, func(ctx context.Context, id int64) error {
		one := &sailor{ID: id, CrewID: 1}
		if id%5 > 0 {
			_, err := db.NewInsert().Model(one).Exec(ctx)
			return err
		}
		return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			if _, err := tx.NewSelect().Model((*sailor)(nil)).Count(ctx); err != nil {
				return err
			}
			_, err := tx.NewInsert().Model(one).Exec(ctx)
			return err
		})
	}, func() (ids []int64) {
		require.NoError(t, db.NewSelect().Model((*sailor)(nil)).Column("id").Scan(t.Context(), &ids))
		return ids
	})
}
