package ecosystem

import (
	"context"
	"database/sql"
	"testing"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"entgo.io/ent/dialect/sql/schema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/headpond/headpond/internal/ecosystem/ent"
	"github.com/headpond/headpond/internal/ecosystem/ent/migrate"
	"github.com/headpond/headpond/internal/ecosystem/ent/owner"
	"github.com/headpond/headpond/internal/ecosystem/ent/pet"
)

func pets(t *testing.T, db *sql.DB) *ent.Client {
	client := ent.NewClient(ent.Driver(entsql.OpenDB(dialect.SQLite, db)))
	require.NoError(t, client.Schema.Create(t.Context()))
	require.NoError(t, client.Schema.Create(t.Context()), "a second time")
	return client
}

func TestEnt(t *testing.T) {
	client, ctx := pets(t, open(t)), t.Context()
	ada, err := client.Owner.Create().SetName("Ada").SetAge(36).SetNotes([]string{"one", "two"}).SetPhoto([]byte{0, 1}).Save(ctx)
	require.NoError(t, err)
	cats, err := client.Pet.CreateBulk(client.Pet.Create().SetName("Puff").SetOwner(ada), client.Pet.Create().SetName("Rex").SetKind(pet.KindDog).SetTame(false).SetWeight(31.5).SetOwner(ada)).Save(ctx)
	require.NoError(t, err)
	require.NoError(t, cats[0].Update().AddFriends(cats[1]).Exec(ctx))

	got, err := client.Owner.Query().Where(owner.HasPetsWith(pet.KindEQ(pet.KindDog))).WithPets(func(q *ent.PetQuery) { q.WithFriends().Order(ent.Asc(pet.FieldID)) }).Only(ctx)
	require.NoError(t, err)
	assert.Equal(t, ada.Notes, got.Notes)
	assert.Equal(t, ada.Photo, got.Photo)
	assert.True(t, ada.Since.Equal(got.Since))
	require.Len(t, got.Edges.Pets, 2)
	assert.Equal(t, "Rex", got.Edges.Pets[0].Edges.Friends[0].Name)
	assert.Equal(t, 31.5, got.Edges.Pets[1].Weight)
	mean, err := client.Pet.Query().Aggregate(ent.Mean(pet.FieldWeight)).Float64(ctx)
	require.NoError(t, err)
	assert.NotZero(t, mean)

	_, err = client.Owner.Create().SetName("Ada").Save(ctx)
	require.True(t, ent.IsConstraintError(err), err)
	_, err = client.Pet.Create().SetName("stray").SetOwnerID(99).Save(ctx)
	require.True(t, ent.IsConstraintError(err), err)
	_, err = client.Owner.Get(ctx, 99)
	require.True(t, ent.IsNotFound(err), err)

	tx, err := client.Tx(ctx)
	require.NoError(t, err)
	require.NoError(t, tx.Pet.Update().SetTame(true).Exec(ctx))
	require.NoError(t, tx.Rollback())
	tx, err = client.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	wild, err := tx.Pet.Query().Where(pet.Tame(false)).Count(ctx)
	require.NoError(t, err)
	assert.Equal(t, 1, wild)
	require.Error(t, tx.Pet.Update().SetTame(true).Exec(ctx))
	require.NoError(t, tx.Rollback())
	require.NoError(t, client.Owner.DeleteOne(ada).Exec(ctx))
	left, err := client.Pet.Query().Count(ctx)
	require.NoError(t, err)
	assert.Zero(t, left, "the cascade")
}

// ent rebuilds a table in a transaction, with foreign keys off around it: with them on, to drop the old one would take the pets with it.
func TestEnt_MigrationThatRebuildsATable(t *testing.T) {
	db, ctx := open(t), t.Context()
	owners, pets := *migrate.OwnersTable, *migrate.PetsTable
	owners.Columns = nil
	for _, column := range migrate.OwnersColumns {
		older := *column
		if older.Name == owner.FieldAge {
			older.Nullable, older.Default = false, 7
		}
		owners.Columns = append(owners.Columns, &older)
	}
	owners.Columns = append(owners.Columns, &schema.Column{Name: "fax", Type: 7, Nullable: true})
	owners.PrimaryKey = owners.Columns[:1]
	older, err := schema.NewMigrate(entsql.OpenDB(dialect.SQLite, db))
	require.NoError(t, err)
	require.NoError(t, older.Create(ctx, &owners, &pets))
	_, err = db.Exec("INSERT INTO owners (id, name, since) VALUES (1, 'Ada', '2000-01-01'); INSERT INTO pets (name, owner_pets) VALUES ('Puff', 1), ('Rex', 1)")
	require.NoError(t, err)

	client := ent.NewClient(ent.Driver(entsql.OpenDB(dialect.SQLite, db)))
	require.NoError(t, client.Schema.Create(ctx, migrate.WithDropColumn(true), migrate.WithDropIndex(true), migrate.WithForeignKeys(true)))
	var notNull, fax int
	require.NoError(t, db.QueryRow(`SELECT "notnull", (SELECT count(*) FROM pragma_table_info('owners') WHERE name='fax') FROM pragma_table_info('owners') WHERE name='age'`).Scan(&notNull, &fax))
	assert.Equal(t, []int{0, 0}, []int{notNull, fax}, "it was rebuilt")
	count, err := client.Pet.Query().Count(ctx)
	require.NoError(t, err)
	assert.Equal(t, 2, count, "nothing cascaded")
	for range 10 { // on whatever session comes
		_, err = client.Pet.Create().SetName("stray").SetOwnerID(99).Save(ctx)
		require.True(t, ent.IsConstraintError(err), "foreign keys are on again: %v", err)
	}
}

func TestEnt_Storm(t *testing.T) {
	db := open(t)
	client := pets(t, db)
	ada := client.Owner.Create().SetName("Ada").SaveX(t.Context())
	storm(t, func(ctx context.Context, id int64) error {
		if id%5 > 0 {
			_, err := client.Pet.Create().SetName("x").SetWeight(float64(id)).SetOwner(ada).Save(ctx)
			return err
		}
		tx, err := client.Tx(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.Pet.Query().Count(ctx); err != nil {
			return err
		}
		if _, err := tx.Pet.Create().SetName("y").SetWeight(float64(id)).SetOwner(ada).Save(ctx); err != nil {
			return err
		}
		return tx.Commit()
	}, func() (ids []int64) {
		rows, err := db.Query("SELECT CAST(weight AS INTEGER) FROM pets")
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var id int64
			require.NoError(t, rows.Scan(&id))
			ids = append(ids, id)
		}
		require.NoError(t, rows.Err())
		return ids
	})
}
