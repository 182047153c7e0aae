package admin

import "time"

// WithPace returns the parameters with other bounds of streams; zero is the usual.
func (p Params) WithPace(streams int, heartbeat, write time.Duration) Params {
	p.pace = streamPace{streams: streams, heartbeat: heartbeat, write: write}
	return p
}
