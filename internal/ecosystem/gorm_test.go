package ecosystem

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	gormsqlite "gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
)

type Author struct {
	gorm.Model
	Name    string `gorm:"uniqueIndex"`
	Profile Profile
	Books   []Book `gorm:"constraint:OnDelete:CASCADE"`
}

type Profile struct {
	ID       uint
	AuthorID uint
	Text     []byte
}

type Book struct {
	ID       uint
	AuthorID uint
	Title    string `gorm:"size:200;not null"`
	Pages    int    `gorm:"check:pages > 0"`
	Printed  *time.Time
	Tags     []Tag `gorm:"many2many:book_tags"`
}

type Tag struct {
	ID   int64
	Word string
}

// mapper is a gorm.DB with tables for what is above.
func mapper(t *testing.T, config gorm.Config) *gorm.DB {
	config.Logger = logger.Discard
	config.TranslateError = true
	db, err := gorm.Open(gormsqlite.Dialector{Conn: open(t)}, &config)
	require.NoError(t, err)
	require.NoError(t, db.AutoMigrate(&Author{}, &Profile{}, &Book{}, &Tag{}))
	return db
}

func TestGorm_Associations(t *testing.T) {
	for name, config := range map[string]gorm.Config{"plain": {}, "prepared": {PrepareStmt: true}} {
		t.Run(name, func(t *testing.T) {
			db := mapper(t, config)
			printed := time.Date(1965, 8, 1, 12, 0, 0, 123456789, time.UTC)
			author := Author{
				Name: "Herbert", Profile: Profile{Text: []byte{0, 1, 2}},
				Books: []Book{{Title: "Dune", Pages: 412, Printed: &printed, Tags: []Tag{{Word: "sand"}, {Word: "spice"}}}, {Title: "Messiah", Pages: 256}},
			}
			require.NoError(t, db.Create(&author).Error)
			var got Author
			require.NoError(t, db.Preload(clause.Associations).Preload("Books.Tags").First(&got, "name = ?", "Herbert").Error)
			assert.Equal(t, author.Profile, got.Profile)
			require.Len(t, got.Books, 2)
			assert.Equal(t, author.Books[0].Tags, got.Books[0].Tags)
			assert.True(t, printed.Equal(*got.Books[0].Printed))
			assert.Nil(t, got.Books[1].Printed)
			assert.WithinDuration(t, author.CreatedAt, got.CreatedAt, 0)

			assert.EqualValues(t, 2, db.Model(&got).Association("Books").Count())
			require.NoError(t, db.Model(&got.Books[0]).Association("Tags").Replace(&Tag{Word: "worm"}))
			assert.EqualValues(t, 1, db.Model(&got.Books[0]).Association("Tags").Count())

			changed := db.Model(&Book{}).Where("pages > ?", 100).Update("pages", gorm.Expr("pages + 1"))
			require.NoError(t, changed.Error)
			assert.EqualValues(t, 2, changed.RowsAffected)
			var books []Book
			require.NoError(t, db.Clauses(clause.Returning{}).Model(&books).Where("title = ?", "Dune").Update("pages", 500).Error)
			require.Len(t, books, 1)
			assert.Equal(t, 500, books[0].Pages)
			assert.True(t, printed.Equal(*books[0].Printed), "RETURNING has no declared types")

			require.NoError(t, db.Delete(&got).Error)
			require.ErrorIs(t, db.First(&Author{}, got.ID).Error, gorm.ErrRecordNotFound, "deleted softly")
			require.NoError(t, db.Exec("DELETE FROM book_tags").Error)
			require.NoError(t, db.Exec("DELETE FROM profiles").Error)
			require.NoError(t, db.Unscoped().Delete(&got).Error)
			var count int64
			require.NoError(t, db.Model(&Book{}).Count(&count).Error)
			assert.Zero(t, count, "the cascade")
			closePrepared(t, db)
		})
	}
}

// closePrepared closes the statements that gorm has prepared.
func closePrepared(t *testing.T, db *gorm.DB) {
	if prepared, ok := db.ConnPool.(*gorm.PreparedStmtDB); ok {
		prepared.Close()
	}
}

func TestGorm_TranslatedErrors(t *testing.T) {
	db := mapper(t, gorm.Config{})
	require.NoError(t, db.Create(&Author{Name: "one"}).Error)
	require.ErrorIs(t, db.Create(&Author{Name: "one"}).Error, gorm.ErrDuplicatedKey)
	require.ErrorIs(t, db.Create(&Tag{ID: 1}).Error, nil)
	require.ErrorIs(t, db.Create(&Tag{ID: 1}).Error, gorm.ErrDuplicatedKey)
	require.ErrorIs(t, db.Create(&Book{AuthorID: 99, Title: "orphan", Pages: 1}).Error, gorm.ErrForeignKeyViolated)
	require.ErrorContains(t, db.Create(&Book{AuthorID: 1, Title: "empty"}).Error, "CHECK")
	err := db.Transaction(func(tx *gorm.DB) error { return tx.Create(&Author{Name: "one"}).Error })
	require.ErrorIs(t, err, gorm.ErrDuplicatedKey)
}

func TestGorm_Transactions(t *testing.T) {
	db := mapper(t, gorm.Config{})
	refused := errors.New("refused")
	require.ErrorIs(t, db.Transaction(func(tx *gorm.DB) error {
		require.NoError(t, tx.Create(&Tag{Word: "gone"}).Error)
		return refused
	}), refused)
	require.NoError(t, db.Transaction(func(tx *gorm.DB) error {
		require.NoError(t, tx.Create(&Tag{Word: "outer"}).Error)
		require.ErrorIs(t, tx.Transaction(func(inner *gorm.DB) error { // a savepoint
			require.NoError(t, inner.Create(&Tag{Word: "inner"}).Error)
			return refused
		}), refused)
		require.NoError(t, tx.SavePoint("here").Error)
		require.NoError(t, tx.Create(&Tag{Word: "after"}).Error)
		return tx.RollbackTo("here").Error
	}))
	var tags []Tag
	require.NoError(t, db.Find(&tags).Error)
	require.Len(t, tags, 1)
	assert.Equal(t, "outer", tags[0].Word)
}

func TestGorm_Migrator(t *testing.T) {
	db := mapper(t, gorm.Config{})
	require.NoError(t, db.Create(&Author{Name: "kept", Books: []Book{{Title: "kept, too", Pages: 3}}}).Error)
	require.NoError(t, db.AutoMigrate(&Author{}, &Profile{}, &Book{}, &Tag{}), "a second time")
	type Book struct {
		ID       uint
		AuthorID uint
		Title    string `gorm:"size:400;not null;default:none"`
		Pages    int
		Language string `gorm:"index"`
	}
	m := db.Migrator()
	require.NoError(t, m.AutoMigrate(&Book{}))
	require.NoError(t, m.AlterColumn(&Book{}, "Title")) // by rebuilding the table
	require.NoError(t, m.DropColumn(&Book{}, "printed"))
	require.NoError(t, m.RenameColumn(&Book{}, "language", "tongue"))
	assert.True(t, m.HasColumn(&Book{}, "tongue"))
	assert.False(t, m.HasColumn(&Book{}, "printed"))
	types, err := m.ColumnTypes(&Book{})
	require.NoError(t, err)
	names := make(map[string]string)
	for _, column := range types {
		names[column.Name()] = column.DatabaseTypeName()
	}
	assert.Equal(t, map[string]string{"id": "integer", "author_id": "integer", "title": "text", "pages": "integer", "tongue": "text"}, names)
	var title string
	require.NoError(t, db.Raw("SELECT title FROM books").Scan(&title).Error)
	assert.Equal(t, "kept, too", title)
	tables, err := m.GetTables()
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{"authors", "profiles", "books", "tags", "book_tags", "sqlite_sequence"}, tables)
	require.NoError(t, m.DropTable("book_tags", &Book{}))
	assert.False(t, m.HasTable("books"))
}

func TestGorm_Storm(t *testing.T) {
	for name, config := range map[string]gorm.Config{"plain": {}, "prepared": {PrepareStmt: true}, "no transaction": {SkipDefaultTransaction: true}} {
		t.Run(name, func(t *testing.T) {
			db := mapper(t, config)
			storm(t, func(ctx context.Context, id int64) error {
				if id%5 > 0 {
					return db.WithContext(ctx).Create(&Tag{ID: id}).Error
				}
				return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
					var count int64
					if err := tx.Model(&Tag{}).Count(&count).Error; err != nil {
						return err
					}
					return tx.Create(&Tag{ID: id, Word: "counted"}).Error
				})
			}, func() (ids []int64) {
				require.NoError(t, db.Model(&Tag{}).Pluck("id", &ids).Error)
				return ids
			})
			closePrepared(t, db)
		})
	}
}
