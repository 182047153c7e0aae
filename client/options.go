package client

import (
	"crypto/tls"
	"io"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/serializer"
)

// Defaults of the options.
const (
	// DefaultTimeout is how long a request waits for its response.
	DefaultTimeout = 5 * time.Second
	// DefaultDialTimeout bounds Dial when its context has no deadline.
	DefaultDialTimeout = 15 * time.Second
	// DefaultMaxPacket is the longest body the protocol can say.
	DefaultMaxPacket = protocol.MaxPacketBody
	// LibVersion is what the client calls itself in the handshake.
	LibVersion = "cereus-go-1"
)

// Option changes how Dial connects and how the client behaves. Later options
// win over earlier ones.
type Option func(*settings)

type settings struct {
	tls        *tls.Config
	handshake  protocol.HandshakeRequest
	timeout    time.Duration
	maxPacket  int
	log        logrus.FieldLogger
	serializer serializer.Serializer
}

func newSettings(opts []Option) *settings {
	s := &settings{
		timeout:   DefaultTimeout,
		maxPacket: DefaultMaxPacket,
		handshake: protocol.HandshakeRequest{Sys: protocol.HandshakeSys{
			Platform: "desktop", LibVersion: LibVersion, BuildNumber: "1", Version: "1.0.0",
		}},
	}
	for _, opt := range opts {
		opt(s)
	}
	if s.log == nil {
		silent := logrus.New()
		silent.SetOutput(io.Discard)
		s.log = silent
	}
	return s
}

// pick is the serializer for the name in the handshake, nil when there is none.
func (s *settings) pick(name string) serializer.Serializer {
	switch {
	case s.serializer != nil && s.serializer.Name() == name:
		return s.serializer
	case name == serializer.NameJSON:
		return serializer.JSON()
	case name == serializer.NameProtobuf:
		return serializer.Protobuf()
	}
	return nil
}

// WithTLS sets how tls:// and wss:// addresses are verified. A config without
// ServerName gets the host of the address. The config is copied.
func WithTLS(cfg *tls.Config) Option {
	return func(s *settings) { s.tls = cfg.Clone() }
}

// WithHandshake sets everything that the client tells the server first
// (wire.md 2.2), user data included.
func WithHandshake(r protocol.HandshakeRequest) Option {
	return func(s *settings) { s.handshake = r }
}

// WithUser sets only the application's own part of the handshake. It must be
// something that encoding/json can encode.
func WithUser(user map[string]any) Option {
	return func(s *settings) { s.handshake.User = user }
}

// WithTimeout sets how long a request waits for its response when its context
// has no deadline. 0 and less mean DefaultTimeout.
func WithTimeout(d time.Duration) Option {
	return func(s *settings) {
		s.timeout = d
		if d <= 0 {
			s.timeout = DefaultTimeout
		}
	}
}

// WithMaxPacket sets the longest packet body, in bytes, that the client accepts,
// also after inflating. A longer one ends the connection. Values outside of
// 1..DefaultMaxPacket mean DefaultMaxPacket.
func WithMaxPacket(n int) Option {
	return func(s *settings) {
		s.maxPacket = n
		if n <= 0 || n > DefaultMaxPacket {
			s.maxPacket = DefaultMaxPacket
		}
	}
}

// WithLogger shows what a program using the client has no other way to learn:
// callbacks that panic and pushes that nobody took. Without it that is dropped.
func WithLogger(log logrus.FieldLogger) Option {
	return func(s *settings) { s.log = log }
}

// WithSerializer lets the client talk to servers whose serializer is neither
// json nor protobuf: it is used when the server announces its name.
func WithSerializer(codec serializer.Serializer) Option {
	return func(s *settings) { s.serializer = codec }
}
