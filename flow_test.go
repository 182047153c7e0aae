package cereus_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
)

// ending is how one call of a vault ended.
type ending struct {
	id       string
	player   *pilgrim // whose message it is; nil of a call
	front    string   // of the flow
	began    time.Time
	took     time.Duration
	server   string // that answered
	err      error
	answered int // how often
}

// until is when it ended.
func (e *ending) until() time.Time { return e.began.Add(e.took) }

// flow is calls of a vault that go on until somebody stops them.
type flow struct {
	mu    sync.Mutex // guards ended and n
	all   []*ending
	n     int
	name  string
	front string // the id of the frontend, if that matters

	once sync.Once
	end  chan struct{}
	open sync.WaitGroup
}

func newFlow(t testing.TB, name string) *flow {
	f := &flow{name: name, end: make(chan struct{})}
	t.Cleanup(f.quit)
	return f
}

// quit begins no more calls. It may be called again.
func (f *flow) quit() { f.once.Do(func() { close(f.end) }) }

// calling makes a call with the given id, and returns the body of the answer.
type calling func(id string) ([]byte, error)

// start makes a call every so often, whatever becomes of those before.
func (f *flow) start(every time.Duration, request calling) {
	f.open.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-f.end:
				return
			case <-ticker.C:
				f.open.Go(func() { f.one(request) })
			}
		}
	})
}

func (f *flow) one(request calling) {
	e := f.begin()
	out, err := request(e.id)
	f.over(e, out, err)
}

// begin notes a call with an id of its own.
func (f *flow) begin() *ending {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	e := &ending{id: fmt.Sprint(f.name, "-", f.n), began: time.Now()}
	f.all = append(f.all, e)
	return e
}

// over notes an answer. One of another call is an error of its own.
func (f *flow) over(e *ending, out []byte, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e.took, e.err = time.Since(e.began), err
	e.answered++
	id, server, _ := strings.Cut(string(out), " ")
	e.server = server
	if err == nil && id != e.id {
		e.err = fmt.Errorf("the answer %q is of another call", out)
	}
}

// stop begins no more calls and returns all of them when the last has ended.
func (f *flow) stop() []*ending {
	f.quit()
	f.open.Wait()
	for _, e := range f.all {
		e.front = f.front
	}
	return f.all
}

// good is how many calls were answered without an error so far, by whom.
func (f *flow) good(server string) int {
	return f.count(func(e *ending) bool { return e.err == nil && e.server == server })
}

// bad is how many failed so far.
func (f *flow) bad() int { return f.count(func(e *ending) bool { return e.err != nil }) }

func (f *flow) count(want func(*ending) bool) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, e := range f.all {
		if e.answered > 0 && want(e) {
			n++
		}
	}
	return n
}

// exactlyOnce asserts what holds of every call, whatever happened: one outcome,
// which is an answer or says what it is, and in time.
func exactlyOnce(t testing.TB, all []*ending, atMost time.Duration) {
	t.Helper()
	for _, e := range all {
		require.Equal(t, 1, e.answered, "%s: answers", e.id)
		require.LessOrEqual(t, e.took, atMost, "%s: %v", e.id, e.err)
		if e.err != nil {
			require.Regexp(t, `^(PIT|GAME)-`, errs.CodeOf(e.err), "%s: %v", e.id, e.err)
		}
	}
}

// ranOnce asserts that nothing began twice, and that what was answered began.
func ranOnce(t testing.TB, w *world, all []*ending) {
	t.Helper()
	began := w.began()
	for _, e := range all {
		require.LessOrEqual(t, began[e.id], 1, "%s began", e.id)
		if e.err == nil {
			require.Equal(t, 1, began[e.id], "%s was answered", e.id)
		}
	}
}

// pilgrim is a client that counts the answers to each of its requests. What the
// client package drops as unasked it would see.
type pilgrim struct {
	*raw
	f *flow

	mu    sync.Mutex // guards what follows, and the writes
	over  bool       // the connection has ended
	asked map[uint64]*ending
	last  uint64
	gone  chan struct{}
}

func (f *flow) pilgrim(t testing.TB, app *cereus.App) *pilgrim {
	t.Helper()
	p := &pilgrim{raw: dialRaw(t, app), f: f, asked: make(map[uint64]*ending), gone: make(chan struct{})}
	require.NoError(t, p.SetDeadline(time.Time{}))
	p.send(packet(protocol.PacketHandshake, "{}"), packet(protocol.PacketHandshakeAck, ""))
	go p.read()
	t.Cleanup(func() {
		_ = p.Close()
		<-p.gone
	})
	return p
}

// start sends a request every so often.
func (p *pilgrim) start(every time.Duration, route, body string) {
	p.f.open.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-p.f.end:
				return
			case <-ticker.C:
				p.ask(route, body)
			}
		}
	})
}

// ask sends a request; the reader ends it.
func (p *pilgrim) ask(route, body string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	e := p.f.begin()
	e.player = p
	p.last++
	p.asked[p.last] = e
	m := protocol.Message{Type: protocol.MessageRequest, ID: p.last, Route: route, Data: []byte(e.id + body)}
	b, err := m.AppendPacketTo(nil, protocol.Encoding{})
	if err != nil {
		panic(err)
	}
	p.f.open.Add(1)
	p.send(b)
}

func (p *pilgrim) read() {
	defer close(p.gone)
	for {
		packet, err := protocol.ReadPacket(p, protocol.MaxPacketBody)
		if err != nil {
			p.hungUp(err)
			return
		}
		if packet.Type != protocol.PacketData {
			continue
		}
		if m, err := protocol.DecodeMessage(packet.Body, protocol.Decoding{}); err == nil && m.Type == protocol.MessageResponse {
			p.answered(&m)
		}
	}
}

func (p *pilgrim) answered(m *protocol.Message) {
	p.mu.Lock()
	e := p.asked[m.ID]
	p.mu.Unlock()
	var err error
	if m.Err {
		err = clientError(m.Data)
	}
	first := e.answered == 0 // only this goroutine writes it
	p.f.over(e, m.Data, err)
	if first {
		p.f.open.Done()
	}
}

// clientError is the error in the body of an answer (wire.md 4).
func clientError(body []byte) error {
	var e struct {
		Code     errs.Code         `json:"code"`
		Msg      string            `json:"msg"`
		Metadata map[string]string `json:"metadata"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return fmt.Errorf("an error that cannot be read: %w", err)
	}
	return &errs.Error{Code: e.Code, Message: e.Msg, Metadata: e.Metadata}
}

// hungUp ends what waits for an answer without one.
func (p *pilgrim) hungUp(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	for _, e := range p.asked {
		if e.answered == 0 {
			p.f.over(e, nil, &hangUp{cause})
			p.f.open.Done()
		}
	}
}

// hangUp: the connection ended before the answer.
type hangUp struct{ cause error }

func (h *hangUp) Error() string { return "hung up: " + h.cause.Error() }

// outcomeOf does something beside, and tells its error later.
func outcomeOf(do func() error) chan error {
	outcome := make(chan error, 1)
	go func() { outcome <- do() }()
	return outcome
}

// kindOf sorts an outcome for a table.
func kindOf(err error) string {
	switch code := errs.CodeOf(err); {
	case err == nil:
		return "answered"
	case code == errs.CodeTimeout:
		return "timed out"
	case cluster.IsMaybe(err):
		return "lost (maybe)"
	case code == errs.CodeUnavailable:
		return "unavailable"
	default:
		return string(code)
	}
}
