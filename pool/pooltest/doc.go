// Package pooltest helps to test code that is given a pool.
//
//	func TestTransfer(t *testing.T) {
//		p := pooltest.New(t, hooks, pool.Options{MaxSize: 2})
//		p.Fail(pool.Construct, errors.New("connection refused"))
//		err := Transfer(t.Context(), p.Pool)
//		...
//	}
//
// A [Pool] is a real one, with hooks that count and that fail when they are told to.
//
// # That every lease comes back
//
// When the test ends a Pool must have every lease back. [Check] says the same of any pool,
// and names the line that acquired what is still out.
//
// # What code does in an outage
//
//   - nothing can be built: Fail(pool.Construct, err)
//   - a value broke while it was idle: FailNext(pool.Check, 1, err), with Policy.CheckAfterIdle negative
//   - the pool has nothing to give: Fail(pool.Prepare, pool.ErrAcquireTimeout), or any other error of Acquire
//   - a build or a destructor hangs: On, with a function that waits for the end of its ctx
//
// Fail with nil ends it.
//
// Everything here works in a bubble of testing/synctest.
package pooltest
