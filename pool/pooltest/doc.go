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
// When the test ends it must have every lease back: [Check] says the same of any pool,
// and names the line that acquired what is still out.
//
// To see what code does where a pool has nothing to give, let Prepare fail with the error that Acquire would return:
//
//	p.Fail(pool.Prepare, pool.ErrAcquireTimeout)
//
// Everything here works in a bubble of testing/synctest.
package pooltest
