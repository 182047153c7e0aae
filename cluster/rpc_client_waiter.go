package cluster

import (
	"sync"

	"github.com/cereus-game/cereus/cluster/clusterpb"
)

// doneFunc is the completer of RPCClient.Go.
type doneFunc func(*clusterpb.Response, error)

func (f doneFunc) complete(data []byte, err error) {
	if err != nil {
		f(nil, err)
		return
	}
	f(decodeResponse(data))
}

// waiter is the completer of RPCClient.Call. It keeps the bytes, so that the
// caller's goroutine decodes them and not the one reader.
type waiter struct {
	ready chan struct{}
	data  []byte
	err   error
}

func (w *waiter) complete(data []byte, err error) {
	w.data, w.err = data, err
	w.ready <- struct{}{} // room for the one completion
}

// waiterPool lends waiters. The zero value is ready.
type waiterPool struct{ free sync.Pool }

func (p *waiterPool) take() *waiter {
	if w, _ := p.free.Get().(*waiter); w != nil {
		return w
	}
	return &waiter{ready: make(chan struct{}, 1)}
}

// put takes a waiter back that nobody will complete any more.
func (p *waiterPool) put(w *waiter) {
	w.data, w.err = nil, nil
	p.free.Put(w)
}
