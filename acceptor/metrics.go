package acceptor

// Refusal says why a connection never reached a handler.
type Refusal string

// The reasons.
const (
	RefusedFull Refusal = "full" // too many in all, by a Gate

	RefusedAddress Refusal = "address" // too many from one address, by a Gate

	RefusedProxy Refusal = "proxy" // PROXY header missing, malformed, late or from an untrusted peer
	RefusedTLS   Refusal = "tls"   // TLS handshake failed or late
	RefusedHTTP  Refusal = "http"  // upgrade failed or late, origin not allowed
	RefusedStop  Refusal = "stop"  // the acceptor was closed meanwhile
)

// Metrics is told of connections that come and go, from many goroutines.
// Every connection is Accepted once and then either Refused or Closed.
type Metrics interface {
	// Accepted counts a connection that came, before it is looked at.
	Accepted()
	// Refused counts a connection that was turned away, and why.
	Refused(why Refusal)
	// Closed counts the end of a connection that was not refused.
	Closed()
	// AcceptFailed counts accepts that failed and are tried again, such as for
	// want of file descriptors.
	AcceptFailed()
}

type noMetrics struct{}

func (noMetrics) Accepted()       {}
func (noMetrics) Refused(Refusal) {}
func (noMetrics) Closed()         {}
func (noMetrics) AcceptFailed()   {}
