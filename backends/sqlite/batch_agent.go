package sqlite

import (
	"context"
	"runtime"
	"sync"
)

// agentContext is the ctx with which a goroutine of the DB's own acquires the writer, for calls of Batch or for a checkpoint:
// to the pool it is an agent, whose lease is no caller's.
type agentContext struct {
	context.Context
	holding
}

// newAgent returns an agent whose lease has that label in holders, errors and leak reports.
func newAgent(ctx context.Context, label string) *agentContext {
	return &agentContext{ctx, holding{label: label}}
}

// soloContext is the ctx of a call of Batch that runs on its caller's goroutine, and acquires the writer with it as an agent:
// a call is counted and observed in the same way however it runs.
type soloContext struct {
	callContext
	holding
}

// holding says who has the writer.
type holding struct {
	mu       sync.Mutex // protects the following
	label    string
	function uintptr   // of the call that runs, or has run last; 0: none
	stack    []uintptr // of its caller, if that was recorded
}

// set notes which call has the writer from now on.
func (h *holding) set(label string, function uintptr, stack []uintptr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.label, h.function, h.stack = label, function, append(h.stack[:0], stack...)
}

// clear notes that no call has it.
func (h *holding) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.label, h.function, h.stack = "", 0, h.stack[:0]
}

// Holder implements the pool's agent: with the function that runs as the innermost call.
func (h *holding) Holder() (label string, stack []uintptr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.function == 0 {
		return h.label, nil
	}
	stack = append(stack, h.function+1) // as the return address of a call of its own, which stands one before it
	return h.label, append(stack, h.stack...)
}

// callers returns the stack of the caller of the caller, in buffer if that has room.
func callers(buffer []uintptr) []uintptr {
	if cap(buffer) == 0 {
		buffer = make([]uintptr, 0, 32)
	}
	return buffer[:runtime.Callers(3, buffer[:cap(buffer)])]
}
