package acceptor

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/protocol"
)

// The defaults of Limits and the other options.
const (
	DefaultHandshakeBody   = 4 << 10
	DefaultBody            = 64 << 10
	DefaultHandshakePacket = 5 * time.Second
	DefaultPacket          = 10 * time.Second
	DefaultOpening         = 5 * time.Second
	DefaultProxyHeader     = time.Second
	DefaultHTTPHeader      = 8 << 10
	DefaultBudget          = 256 << 20
)

// Limits bound what one connection may send.
type Limits struct {
	// HandshakeBody is the largest packet body before Conn.Established, in bytes.
	HandshakeBody int
	// Body is the largest packet body after it.
	Body int
	// HandshakePacket is how long a packet may take from its first byte to its
	// last before Conn.Established.
	HandshakePacket time.Duration
	// Packet is the same after it.
	Packet time.Duration
	// Opening is how long the TLS handshake and the HTTP upgrade may take
	// together.
	Opening time.Duration
	// ProxyHeader is how long a PROXY protocol header may take.
	ProxyHeader time.Duration
	// HTTPHeader is the largest upgrade request in bytes.
	HTTPHeader int
}

func defaultLimits() Limits {
	return Limits{
		HandshakeBody: DefaultHandshakeBody, Body: DefaultBody,
		HandshakePacket: DefaultHandshakePacket, Packet: DefaultPacket,
		Opening: DefaultOpening, ProxyHeader: DefaultProxyHeader, HTTPHeader: DefaultHTTPHeader,
	}
}

// or takes the fields that are zero from other.
func (l Limits) or(other Limits) Limits {
	l.HandshakeBody = cmp.Or(l.HandshakeBody, other.HandshakeBody)
	l.Body = cmp.Or(l.Body, other.Body)
	l.HandshakePacket = cmp.Or(l.HandshakePacket, other.HandshakePacket)
	l.Packet = cmp.Or(l.Packet, other.Packet)
	l.Opening = cmp.Or(l.Opening, other.Opening)
	l.ProxyHeader = cmp.Or(l.ProxyHeader, other.ProxyHeader)
	l.HTTPHeader = cmp.Or(l.HTTPHeader, other.HTTPHeader)
	return l
}

func (l Limits) validate() error {
	var faults []error
	for _, f := range []struct {
		name  string
		value int64
		most  int64
	}{
		{"HandshakeBody", int64(l.HandshakeBody), protocol.MaxPacketBody},
		{"Body", int64(l.Body), protocol.MaxPacketBody},
		{"HandshakePacket", int64(l.HandshakePacket), int64(24 * time.Hour)},
		{"Packet", int64(l.Packet), int64(24 * time.Hour)},
		{"Opening", int64(l.Opening), int64(24 * time.Hour)},
		{"ProxyHeader", int64(l.ProxyHeader), int64(24 * time.Hour)},
		{"HTTPHeader", int64(l.HTTPHeader), 1 << 20},
	} {
		if f.value < 0 || f.value > f.most {
			faults = append(faults, fmt.Errorf("acceptor: Limits.%s is %d, it must be from 0 (not set here) to %d", f.name, f.value, f.most))
		}
	}
	return errors.Join(faults...)
}

// Option sets up an acceptor. A faulty option is reported by Listen.
type Option interface{ apply(o *options) error }

type options struct {
	limits  Limits
	budget  int64
	tls     *tls.Config
	files   *certificateFiles
	proxy   *proxyRules
	origins *originRules
	gate    *Gate
	clients *clientRules
	log     logrus.FieldLogger

	forwarded *forwardedRules
	metrics   Metrics
}

type optionFunc func(o *options) error

func (f optionFunc) apply(o *options) error { return f(o) }

func newOptions(opts []Option) (options, error) {
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	o := options{limits: defaultLimits(), budget: DefaultBudget, log: quiet, metrics: noMetrics{}}
	var faults []error
	for _, opt := range opts {
		faults = append(faults, opt.apply(&o))
	}
	if o.tls != nil && o.files != nil {
		faults = append(faults, errors.New("acceptor: use one of WithTLS and WithTLSFiles, not both"))
	}
	if o.clients != nil && o.tls == nil && o.files == nil {
		faults = append(faults, errors.New("acceptor: WithClientCertificates needs WithTLS or WithTLSFiles"))
	}
	return o, errors.Join(faults...)
}

// WithLimits sets limits of every connection. A field that is zero keeps what an
// option before set, as the configuration does for an App, or else the default.
func WithLimits(l Limits) Option {
	return optionFunc(func(o *options) error {
		o.limits = l.or(o.limits)
		return l.validate()
	})
}

// WithBudget bounds the bytes that all connections of the acceptor together
// hold in unfinished packets; the default is 256 MiB. A connection that would
// exceed it ends with ErrBudget.
func WithBudget(bytes int64) Option {
	return optionFunc(func(o *options) error {
		if bytes <= 0 {
			return fmt.Errorf("acceptor: the budget is %d bytes, it must be above 0", bytes)
		}
		o.budget = bytes
		return nil
	})
}

// WithGate bounds the connections of this acceptor together with those of the
// others that have the gate.
func WithGate(g *Gate) Option {
	return optionFunc(func(o *options) error { o.gate = g; return nil })
}

// WithTLS makes every connection start with a TLS handshake. The acceptor uses
// a copy of config, which needs a certificate.
func WithTLS(config *tls.Config) Option {
	return optionFunc(func(o *options) error {
		if config == nil {
			return errors.New("acceptor: WithTLS needs a config")
		}
		if len(config.Certificates) == 0 && config.GetCertificate == nil && config.GetConfigForClient == nil {
			return errors.New("acceptor: the config of WithTLS has no certificate")
		}
		o.tls = config.Clone()
		return nil
	})
}

// WithTLSFiles is WithTLS with a certificate and a key in PEM files. They are
// read again when one changes, for the connections that come after; a pair
// that cannot be read is logged, and the one before stays in use.
func WithTLSFiles(certificate, key string) Option {
	return optionFunc(func(o *options) error {
		if certificate == "" || key == "" {
			return errors.New("acceptor: WithTLSFiles needs the names of a certificate and of a key file")
		}
		o.files = &certificateFiles{certificate: certificate, key: key}
		return nil
	})
}

// WithProxyProtocol makes every connection start with a PROXY protocol header,
// version 1 or 2, within Limits.ProxyHeader. The address of the client is then the one
// in the header. Peers outside the trusted networks are refused; without any
// network every peer is trusted.
func WithProxyProtocol(trusted ...netip.Prefix) Option {
	return optionFunc(func(o *options) error {
		for _, p := range trusted {
			if !p.IsValid() {
				return errors.New("acceptor: WithProxyProtocol has an invalid network")
			}
		}
		o.proxy = &proxyRules{trusted: trusted}
		return nil
	})
}

// WithOrigins lists the web pages that may open a WebSocket, such as
// "https://play.example.com" or "https://*.example.com". Without this option
// every page may. Clients that are no browsers send no origin and are let in.
func WithOrigins(origins ...string) Option {
	return optionFunc(func(o *options) error {
		rules, err := newOriginRules(origins)
		o.origins = rules
		return err
	})
}

// WithLogger sets the logger; the default logs nothing.
func WithLogger(log logrus.FieldLogger) Option {
	return optionFunc(func(o *options) error {
		if log == nil {
			return errors.New("acceptor: WithLogger needs a logger")
		}
		o.log = log
		return nil
	})
}

// WithMetrics sets who is told of connections that come and go.
func WithMetrics(m Metrics) Option {
	return optionFunc(func(o *options) error {
		if m == nil {
			return errors.New("acceptor: WithMetrics needs a value")
		}
		o.metrics = m
		return nil
	})
}
