package pool

import "context"

// A panic in a function of a tap is swallowed: neither the pool nor its caller can help it,
// and neither a slot nor a lease may be lost for it.

// begin is Tap.Begin of a tap that may be nil.
func (t *Tap) begin(ctx context.Context, event Event) (inner context.Context) {
	if t == nil || t.Begin == nil {
		return ctx
	}
	inner = ctx
	defer func() { _ = recover() }()
	return t.Begin(ctx, event)
}

// end is Tap.End of a tap that may be nil.
func (t *Tap) end(ctx context.Context, event Event) {
	if t != nil && t.End != nil {
		defer func() { _ = recover() }()
		t.End(ctx, event)
	}
}

// leak is Tap.Leak of a tap that may be nil.
func (t *Tap) leak(leak Leak) {
	if t != nil && t.Leak != nil {
		defer func() { _ = recover() }()
		t.Leak(leak)
	}
}

// enabled reports whether a lease is to be observed.
func (t *Tap) enabled(ctx context.Context) (enabled bool) {
	if t == nil || t.Begin == nil && t.End == nil {
		return false
	}
	if t.Enabled == nil {
		return true
	}
	defer func() { _ = recover() }()
	return t.Enabled(ctx)
}

// Observers returns an observer that hands everything on to all of them; nil ones are left out.
// The Enabled of each decides for it alone. Begin is called in the order given, each with the ctx
// of the one before it, and End in the reverse order, all with the ctx of the last.
// With two or more it costs three allocations a lease beyond their own.
func Observers(all ...Observer) Observer {
	return func(pool Inspector) Tap {
		taps := make(several, 0, len(all))
		for _, observer := range all {
			if observer != nil {
				taps = append(taps, observer(pool))
			}
		}
		switch len(taps) {
		case 0:
			return Tap{Enabled: func(context.Context) bool { return false }}
		case 1:
			return taps[0]
		}
		return Tap{Begin: taps.begin, End: taps.end, Leak: taps.leak, Detach: taps.detach}
	}
}

type several []Tap

// enabledKey is under which the ctx of a lease carries which taps it is observed by, as an enabledSet.
// A ctx without belongs to no lease, and is for all.
type enabledKey struct{ taps *Tap }

type enabledSet []bool

func (s several) enabled(ctx context.Context) enabledSet {
	set, _ := ctx.Value(enabledKey{&s[0]}).(enabledSet)
	return set
}

func (s several) begin(ctx context.Context, event Event) context.Context {
	set := s.enabled(ctx)
	if event.Op == Acquire {
		set = make(enabledSet, len(s))
		for i := range s {
			set[i] = s[i].Enabled == nil || s[i].Enabled(ctx)
		}
		ctx = context.WithValue(ctx, enabledKey{&s[0]}, set)
	}
	for i := range s {
		if set == nil || set[i] {
			ctx = s[i].begin(ctx, event)
		}
	}
	return ctx
}

func (s several) end(ctx context.Context, event Event) {
	set := s.enabled(ctx)
	for i := len(s) - 1; i >= 0; i-- {
		if set == nil || set[i] {
			s[i].end(ctx, event)
		}
	}
}

func (s several) leak(leak Leak) {
	for i := range s {
		s[i].leak(leak)
	}
}

func (s several) detach() {
	for i := range s {
		if s[i].Detach != nil {
			s[i].Detach()
		}
	}
}
