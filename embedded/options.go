package embedded

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sirupsen/logrus"
)

// Limits and defaults of the options.
const (
	// MaxNATSNodes is the most nodes WithNATSNodes accepts.
	MaxNATSNodes = 16
	// DefaultLameDuckGrace is how long a NATS node in lame duck mode leaves its
	// clients connected before it closes the first.
	DefaultLameDuckGrace = 200 * time.Millisecond
	// DefaultLameDuckDuration is how long lame duck mode lasts at most, grace included.
	DefaultLameDuckDuration = 400 * time.Millisecond
)

// Option changes what Start runs. Later options win over earlier ones.
type Option func(*settings)

type settings struct {
	noEtcd, noNATS   bool
	dir              string
	durable          bool
	etcdPort         int
	etcdQuota        int64
	etcdNodes        int
	etcdTLS          *TLSFiles // nil for plain HTTP
	etcdTokenTTL     time.Duration
	natsPort         int
	natsNodes        int
	jetStream        bool
	ldGrace, ldTotal time.Duration
	log              logrus.FieldLogger
}

// WithoutEtcd leaves etcd out.
func WithoutEtcd() Option { return func(s *settings) { s.noEtcd = true } }

// WithoutNATS leaves NATS out.
func WithoutNATS() Option { return func(s *settings) { s.noNATS = true } }

// WithDir keeps all data below dir, which is made when it does not exist and
// is left in place by Stop. Without it data lives in a temporary folder that
// Stop removes. A folder serves one cluster at a time.
func WithDir(dir string) Option { return func(s *settings) { s.dir = dir } }

// WithDurableWrites makes etcd wait for the disk on every write, as it does in
// production. It needs WithDir. Without it what was written in the last
// moments is lost when the machine (not just the process) dies.
func WithDurableWrites() Option { return func(s *settings) { s.durable = true } }

// WithNATSPort makes the first NATS node listen on port instead of a free one.
// 0 means free. Further nodes always take free ports.
func WithNATSPort(port int) Option { return func(s *settings) { s.natsPort = port } }

// WithNATSNodes runs n NATS nodes, 1 to MaxNATSNodes, routed to each other.
func WithNATSNodes(n int) Option { return func(s *settings) { s.natsNodes = n } }

// WithJetStream turns JetStream on. With more than one NATS node Start then
// also waits for the nodes to elect a leader, which takes seconds.
func WithJetStream() Option { return func(s *settings) { s.jetStream = true } }

// WithLameDuck sets how LameDuck proceeds: clients stay connected for grace,
// then they are closed one after the other until duration is over. grace must
// be above zero and below duration.
func WithLameDuck(grace, duration time.Duration) Option {
	return func(s *settings) { s.ldGrace, s.ldTotal = grace, duration }
}

// WithLogger shows the warnings and errors of etcd and NATS. Without it they
// are dropped.
func WithLogger(log logrus.FieldLogger) Option { return func(s *settings) { s.log = log } }

func newSettings(opts []Option) (settings, error) {
	s := settings{etcdNodes: 1, etcdTokenTTL: DefaultEtcdAuthTokenTTL, natsNodes: 1, ldGrace: DefaultLameDuckGrace, ldTotal: DefaultLameDuckDuration}
	for _, opt := range opts {
		opt(&s)
	}
	if s.log == nil {
		quiet := logrus.New()
		quiet.SetOutput(io.Discard)
		s.log = quiet
	}
	return s, s.validate()
}

func (s *settings) validate() error {
	var faults []error
	if s.noEtcd && s.noNATS {
		faults = append(faults, errors.New("nothing to start: drop WithoutEtcd or WithoutNATS"))
	}
	if s.durable && s.dir == "" {
		faults = append(faults, errors.New("WithDurableWrites needs a folder: add WithDir"))
	}
	if s.natsNodes < 1 || s.natsNodes > MaxNATSNodes {
		faults = append(faults, fmt.Errorf("WithNATSNodes(%d): choose 1 to %d", s.natsNodes, MaxNATSNodes))
	}
	if s.ldGrace <= 0 || s.ldGrace >= s.ldTotal {
		faults = append(faults, fmt.Errorf("WithLameDuck(%v, %v): the grace must be above zero and below the duration", s.ldGrace, s.ldTotal))
	}
	faults = append(faults, s.checkEtcd(), checkPort("WithNATSPort", s.natsPort))
	if s.etcdPort != 0 && s.etcdPort == s.natsPort && !s.noEtcd && !s.noNATS {
		faults = append(faults, fmt.Errorf("etcd and NATS cannot share port %d: choose another with WithEtcdPort or WithNATSPort", s.etcdPort))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	return nil
}

func checkPort(option string, port int) error {
	if port < 0 || port > 65535 {
		return fmt.Errorf("%s(%d): choose 1 to 65535, or 0 for a free port", option, port)
	}
	return nil
}
