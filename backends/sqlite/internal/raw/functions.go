package raw

import (
	"errors"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"
)

// This file sees to it that an SQL function's error fails the statement.
//
// zombiezen v1.4.2 gives SQLite the error's text and then, by mistake, the code of success: the text becomes the function's value.
// INSERT stores it, and DELETE ... WHERE NOT f() deletes every row. So what SQLite calls is ours: it calls zombiezen's function
// and puts the error back. Its code is SQLITE_ERROR: the error's own is lost by then.

// trampolines are the functions that zombiezen registers with SQLite for those of Conn.CreateFunction.
type trampolines struct{ scalar, step, final, value, inverse uintptr }

// theirs are zombiezen's, ours what stands in for them.
var (
	theirs trampolines
	ours   = trampolines{scalar: function(callScalar), step: function(callStep), final: function(callFinal), value: function(callValue), inverse: function(callInverse)}
)

// GuardFunctions makes the errors of all functions that were registered through the Conn fail the statement.
// The authorizer does it with each statement that is prepared.
func (h *Handle) GuardFunctions() { guardFunctions(h.db) }

func guardFunctions(db uintptr) {
	eachFunction(db, func(f *lib.TFuncDef) {
		switch f.FxSFunc {
		case theirs.scalar:
			f.FxSFunc = ours.scalar
		case theirs.step:
			f.FxSFunc, f.FxFinalize, f.FxValue, f.FxInverse = ours.step, ours.final, ours.value, ours.inverse
		}
	})
}

// unanswered is what an error's code is before the function is called. SQLite has 0 for none, -1 for data of [sqlite.Context.SetAuxData]
// that it may drop, and, of zombiezen, for an error that is none.
const unanswered = -2

func ask(context uintptr) *lib.Tsqlite3_context {
	c := (*lib.Tsqlite3_context)(pointer(context))
	c.FisError = unanswered
	return c
}

// settle makes the code what it is to be. It is deferred: if the function panics, it refuses the commits of the connection from now on,
// as that of the deferred Stmt.Finalize which the panic may pass.
func settle(c *lib.Tsqlite3_context, returned *bool) {
	if !*returned {
		db := (*lib.Tsqlite3)(pointer((*lib.TMem)(pointer(c.FpOut)).Fdb))
		if db.FxCommitCallback == function(commitHook) {
			(*cell)(pointer(db.FpCommitArg)).torn = 1
		}
	}
	switch c.FisError {
	case -1:
		c.FisError = lib.SQLITE_ERROR
	case unanswered:
		c.FisError = 0
		if c.FpVdbe != 0 && (*lib.TVdbe)(pointer(c.FpVdbe)).FpAuxData != 0 {
			c.FisError = -1
		}
	}
}

func callRow(their uintptr, tls *libc.TLS, context uintptr, n int32, values uintptr) {
	returned := false
	defer settle(ask(context), &returned)
	(*(*func(tls *libc.TLS, context uintptr, n int32, values uintptr))(unsafe.Pointer(&struct{ uintptr }{their})))(tls, context, n, values)
	returned = true
}

func callEnd(their uintptr, tls *libc.TLS, context uintptr) {
	returned := false
	defer settle(ask(context), &returned)
	(*(*func(tls *libc.TLS, context uintptr))(unsafe.Pointer(&struct{ uintptr }{their})))(tls, context)
	returned = true
}

func callScalar(tls *libc.TLS, context uintptr, n int32, values uintptr) {
	callRow(theirs.scalar, tls, context, n, values)
}

func callStep(tls *libc.TLS, context uintptr, n int32, values uintptr) {
	callRow(theirs.step, tls, context, n, values)
}

func callInverse(tls *libc.TLS, context uintptr, n int32, values uintptr) {
	callRow(theirs.inverse, tls, context, n, values)
}

func callFinal(tls *libc.TLS, context uintptr) { callEnd(theirs.final, tls, context) }

func callValue(tls *libc.TLS, context uintptr) { callEnd(theirs.value, tls, context) }

// findTrampolines learns what zombiezen registers, on a Conn without functions.
func findTrampolines(conn *sqlite.Conn) error {
	h := New(conn)
	known := make(map[uintptr]bool)
	eachFunction(h.db, func(f *lib.TFuncDef) { known[f.FxSFunc] = true })
	scalar := &sqlite.FunctionImpl{Scalar: func(sqlite.Context, []sqlite.Value) (sqlite.Value, error) { return sqlite.Value{}, nil }}
	aggregate := &sqlite.FunctionImpl{MakeAggregate: func(sqlite.Context) (sqlite.AggregateFunction, error) { return nil, nil }}
	if err := errors.Join(conn.CreateFunction("headpond_scalar", scalar), conn.CreateFunction("headpond_aggregate", aggregate)); err != nil {
		return err
	}
	var found trampolines
	eachFunction(h.db, func(f *lib.TFuncDef) {
		switch {
		case known[f.FxSFunc]:
		case f.FxFinalize == 0:
			found.scalar = f.FxSFunc
		default:
			found.step, found.final, found.value, found.inverse = f.FxSFunc, f.FxFinalize, f.FxValue, f.FxInverse
		}
	})
	if found.scalar == 0 || found.step == 0 || found.final == 0 || found.value == 0 || found.inverse == 0 {
		return errors.New("its functions can't be found")
	}
	theirs = found
	return nil
}

// eachFunction calls see with every function that was registered on the connection.
func eachFunction(db uintptr, see func(f *lib.TFuncDef)) {
	for at := (*lib.Tsqlite3)(pointer(db)).FaFunc.Ffirst; at != 0; {
		element := (*lib.THashElem)(pointer(at))
		for at := element.Fdata; at != 0; {
			f := (*lib.TFuncDef)(pointer(at))
			see(f)
			at = f.FpNext
		}
		at = element.Fnext
	}
}
