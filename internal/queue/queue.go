// Package queue is a first-in first-out queue whose elements may leave from any place,
// and a free list for elements that are used again.
//
// The links stand in the elements themselves, so that joining and leaving the queue allocate nothing
// and take the same time however long it is. Nothing here locks: a queue belongs to its owner's lock.
package queue

// Node is an element's place in a queue. Embed it in the element, or make it a field,
// and set Element before the first use. The zero Node is in no queue. Do not copy it while it is in one.
type Node[T any] struct {
	Element T // what the queue returns for this node: usually a pointer to what holds it

	queue      *Queue[T] // nil: in none
	prev, next *Node[T]
}

// Queued reports whether n is in a queue.
func (n *Node[T]) Queued() bool { return n.queue != nil }

// Queue holds nodes in order. The zero Queue is empty and ready.
type Queue[T any] struct {
	first, last *Node[T]
	length      int
}

// Len returns how many nodes are in the queue.
func (q *Queue[T]) Len() int { return q.length }

// First returns the element of the first node, or the zero T if the queue is empty.
func (q *Queue[T]) First() (first T) {
	if q.first != nil {
		first = q.first.Element
	}
	return first
}

// Last returns the element of the last node, or the zero T if the queue is empty.
func (q *Queue[T]) Last() (last T) {
	if q.last != nil {
		last = q.last.Element
	}
	return last
}

// All calls yield with each element from the first to the last, until it returns false.
// The element that it is called with may be removed meanwhile, others may not.
func (q *Queue[T]) All(yield func(T) bool) {
	for n := q.first; n != nil; {
		next := n.next
		if !yield(n.Element) {
			return
		}
		n = next
	}
}

// PushBack puts n, which must be in no queue, behind all others.
func (q *Queue[T]) PushBack(n *Node[T]) { q.link(n, q.last, nil) }

// PushFront puts n, which must be in no queue, before all others.
func (q *Queue[T]) PushFront(n *Node[T]) { q.link(n, nil, q.first) }

// Insert puts n, which must be in no queue, before the first element of which later reports true,
// and behind all others if it does so of none. It looks at them from the first on.
func (q *Queue[T]) Insert(n *Node[T], later func(T) bool) {
	next := q.first
	for next != nil && !later(next.Element) {
		next = next.next
	}
	if next == nil {
		q.link(n, q.last, nil)
	} else {
		q.link(n, next.prev, next)
	}
}

// InsertBehind puts n, which must be in no queue, behind the last element of which earlier reports true,
// and before all others if it does so of none. It looks at them from the last on.
func (q *Queue[T]) InsertBehind(n *Node[T], earlier func(T) bool) {
	prev := q.last
	for prev != nil && !earlier(prev.Element) {
		prev = prev.prev
	}
	if prev == nil {
		q.link(n, nil, q.first)
	} else {
		q.link(n, prev, prev.next)
	}
}

// Remove takes n out of the queue that it is in. It panics if n is not in q.
func (q *Queue[T]) Remove(n *Node[T]) {
	if n.queue != q {
		panic("headpond/queue: bug: the node is not in this queue")
	}
	*q.after(n.prev), *q.before(n.next) = n.next, n.prev
	n.queue, n.prev, n.next = nil, nil, nil
	q.length--
}

func (q *Queue[T]) link(n, prev, next *Node[T]) {
	if n.queue != nil {
		panic("headpond/queue: bug: the node is in a queue")
	}
	n.queue, n.prev, n.next = q, prev, next
	*q.after(prev), *q.before(next) = n, n
	q.length++
}

// after is the link that follows n, or the first link of the queue if n is nil.
func (q *Queue[T]) after(n *Node[T]) **Node[T] {
	if n == nil {
		return &q.first
	}
	return &n.next
}

// before is the link that precedes n, or the last link of the queue if n is nil.
func (q *Queue[T]) before(n *Node[T]) **Node[T] {
	if n == nil {
		return &q.last
	}
	return &n.prev
}
