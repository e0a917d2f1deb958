// Package schema is what ent generates the code around it from.
package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
)

// Owner has pets.
type Owner struct{ ent.Schema }

// Fields of an Owner.
func (Owner) Fields() []ent.Field {
	return []ent.Field{
		field.String("name").Unique(),
		field.Int("age").Positive().Optional().Nillable(),
		field.Time("since").Default(time.Now),
		field.JSON("notes", []string{}).Optional(),
		field.Bytes("photo").Optional(),
	}
}

// Edges of an Owner.
func (Owner) Edges() []ent.Edge {
	return []ent.Edge{edge.To("pets", Pet.Type).Annotations(entsql.OnDelete(entsql.Cascade))}
}

// Pet has an owner, and friends.
type Pet struct{ ent.Schema }

// Fields of a Pet.
func (Pet) Fields() []ent.Field {
	return []ent.Field{
		field.String("name"),
		field.Enum("kind").Values("cat", "dog").Default("cat"),
		field.Bool("tame").Default(true),
		field.Float("weight").Optional(),
	}
}

// Edges of a Pet.
func (Pet) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("owner", Owner.Type).Ref("pets").Unique().Required(),
		edge.To("friends", Pet.Type),
	}
}
