package queue

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

type element struct {
	node  Node[*element]
	place int
}

func newElement(place int) *element {
	e := &element{place: place}
	e.node.Element = e
	return e
}

// both reads the queue from both ends.
func both(q *Queue[*element]) (forth, back []*element) {
	for n := q.first; n != nil; n = n.next {
		forth = append(forth, n.Element)
	}
	for n := q.last; n != nil; n = n.prev {
		back = append(back, n.Element)
	}
	slices.Reverse(back)
	return forth, back
}

// TestQueue_Model compares a queue with a slice.
func TestQueue_Model(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q Queue[*element]
		var model []*element
		place := rapid.IntRange(0, 9)
		t.Repeat(map[string]func(*rapid.T){
			"PushBack": func(t *rapid.T) {
				e := newElement(place.Draw(t, "place"))
				q.PushBack(&e.node)
				model = append(model, e)
			},
			"PushFront": func(t *rapid.T) {
				e := newElement(place.Draw(t, "place"))
				q.PushFront(&e.node)
				model = slices.Insert(model, 0, e)
			},
			"Insert": func(t *rapid.T) {
				e := newElement(place.Draw(t, "place"))
				later := func(other *element) bool { return other.place > e.place }
				i := slices.IndexFunc(model, later)
				if i < 0 {
					i = len(model)
				}
				q.Insert(&e.node, later)
				model = slices.Insert(model, i, e)
			},
			"Remove": func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip("empty")
				}
				i := rapid.IntRange(0, len(model)-1).Draw(t, "i")
				q.Remove(&model[i].node)
				assert.False(t, model[i].node.Queued())
				model = slices.Delete(model, i, i+1)
			},
			"": func(t *rapid.T) {
				forth, back := both(&q)
				assert.Equal(t, len(model), q.Len())
				assert.True(t, slices.Equal(model, forth))
				assert.True(t, slices.Equal(model, back))
				assert.True(t, slices.Equal(model, slices.Collect(q.All)))
				var first, last *element
				if len(model) > 0 {
					first, last = model[0], model[len(model)-1]
				}
				assert.Same(t, first, q.First())
				assert.Same(t, last, q.Last())
				for _, e := range model {
					assert.True(t, e.node.Queued())
				}
			},
		})
	})
}

func TestQueue_AllMayRemoveTheElementItIsAt(t *testing.T) {
	var q Queue[*element]
	for i := range 5 {
		q.PushBack(&newElement(i).node)
	}
	for e := range q.All {
		if e.place%2 == 0 {
			q.Remove(&e.node)
		}
		if e.place == 3 {
			break
		}
	}
	forth, _ := both(&q)
	require.Len(t, forth, 3)
	assert.Equal(t, []int{1, 3, 4}, []int{forth[0].place, forth[1].place, forth[2].place})
}

func TestQueue_MisuseIsFound(t *testing.T) {
	var one, other Queue[*element]
	e := newElement(0)
	assert.Panics(t, func() { one.Remove(&e.node) }, "in no queue")
	one.PushBack(&e.node)
	assert.Panics(t, func() { other.Remove(&e.node) }, "in another")
	assert.Panics(t, func() { other.PushBack(&e.node) }, "in another")
	assert.Panics(t, func() { new(Free[*element]).Put(&e.node) }, "still queued")
	assert.Equal(t, 1, one.Len())
}

func TestFree_ReturnsTheLastOneFirstAndIsBounded(t *testing.T) {
	var f Free[*element]
	assert.Nil(t, f.Get())
	for i := range MaxFree + 10 {
		f.Put(&newElement(i).node)
	}
	assert.Equal(t, MaxFree, f.Len())
	for i := range MaxFree {
		e := f.Get()
		require.NotNil(t, e)
		assert.Equal(t, MaxFree-1-i, e.place)
		assert.Nil(t, e.node.next, "it can be queued")
	}
	assert.Nil(t, f.Get())
	assert.Zero(t, f.Len())
}

func TestQueue_AllocatesNothing(t *testing.T) {
	var q Queue[*element]
	var f Free[*element]
	e := newElement(0)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		q.PushBack(&e.node)
		q.Remove(&e.node)
		f.Put(&e.node)
		f.Get()
	}))
}
