package raw

import (
	"unsafe"

	lib "modernc.org/sqlite/lib"
)

// ClearLargeBindings makes NULL of what is bound to each statement that has a text or blob of at least so many bytes bound:
// a cached statement would keep it until it is prepared again. No statement may be in the middle of its rows.
func (h *Handle) ClearLargeBindings(least int32) {
	for at := h.sqlite3().FpVdbe; at != 0; {
		statement := (*lib.TVdbe)(pointer(at))
		for i := range uintptr(statement.FnVar) {
			bound := (*lib.TMem)(pointer(statement.FaVar + i*unsafe.Sizeof(lib.TMem{})))
			if bound.Fn >= least && bound.Fflags&(lib.MEM_Str|lib.MEM_Blob) != 0 {
				lib.Xsqlite3_clear_bindings(h.tls, at)
				break
			}
		}
		at = statement.FpVNext
	}
}
