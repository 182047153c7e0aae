package dispatch

// linkLocked notes a forward that has no outcome yet.
func (b *Inbox) linkLocked(f *forward) {
	b.flight++
	f.before, f.after = b.flying, nil
	if b.flying != nil {
		b.flying.after = f
	}
	b.flying = f
}

func (b *Inbox) unlinkLocked(f *forward) {
	b.flight--
	if f.before != nil {
		f.before.after = f.after
	}
	if f.after != nil {
		f.after.before = f.before
	} else {
		b.flying = f.before
	}
	f.before, f.after = nil, nil
}

// UnderWay are the routes of the messages without an outcome: forwarded ones,
// those whose handlers run, and those that wait.
func (b *Inbox) UnderWay() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	routes := make([]string, 0, b.flight+len(b.beside)+1+b.queue.len())
	for first := b.oldestLocked(); first != nil; first = first.after {
		routes = append(routes, first.m.route.full)
	}
	for _, r := range b.beside {
		routes = append(routes, r.full)
	}
	if b.serving != nil {
		routes = append(routes, b.serving.full)
	}
	return b.queue.routes(routes)
}

func (b *Inbox) oldestLocked() *forward {
	f := b.flying
	for f != nil && f.before != nil {
		f = f.before
	}
	return f
}
