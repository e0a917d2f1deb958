package queue

// MaxFree bounds a free list, and so what a burst leaves behind: some 400 KiB of elements with a timer and a channel.
const MaxFree = 1024

// Free keeps elements that are used again, at most MaxFree of them. The zero Free is empty and ready.
// It belongs to its owner's lock, and not to the process as a sync.Pool would:
// that carries channels and timers from one testing/synctest bubble into another.
type Free[T any] struct {
	first  *Node[T]
	length int
}

// Len returns how many nodes are kept.
func (f *Free[T]) Len() int { return f.length }

// Get takes the node that was put last and returns its element, or the zero T if none is kept.
func (f *Free[T]) Get() (element T) {
	n := f.first
	if n == nil {
		return element
	}
	f.first, n.next = n.next, nil
	f.length--
	return n.Element
}

// Put keeps n, which must be in no queue, unless MaxFree are kept already.
func (f *Free[T]) Put(n *Node[T]) {
	if n.queue != nil {
		panic("headpond/queue: bug: the node is in a queue")
	}
	if f.length < MaxFree {
		n.next, f.first = f.first, n
		f.length++
	}
}
