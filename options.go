package cereus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"syscall"

	"github.com/sirupsen/logrus"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/internal/agent"
	"github.com/cereus-game/cereus/pipeline"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/router"
	"github.com/cereus-game/cereus/serializer"
)

// Option is one choice made for a new App.
type Option interface{ apply(o *options) error }

type optionFunc func(o *options) error

func (f optionFunc) apply(o *options) error { return f(o) }

// options is what New collects before it assembles.
type options struct {
	serverType string
	frontend   bool
	standalone bool
	id         string
	metadata   map[string]string
	config     *config.Config
	serializer serializer.Serializer
	log        logrus.FieldLogger
	etcd       *clientv3.Client
	checks     []cluster.HealthCheck
	filter     func(*cluster.Server) bool
	signals    []os.Signal
	dictionary map[string]uint16
	lenient    agent.Leniency
	limited    bool

	acceptors  []func(*App) acceptor.Acceptor
	routers    []routerOption
	handlers   []pipeline.Middleware
	remotes    []pipeline.Middleware
	calls      []pipeline.Middleware
	validators map[string]agent.Validator
}

type routerOption struct {
	serverType string
	kind       router.Kind
	pick       router.Func
}

// Backend makes a server of the given type that holds no client connections.
// A type is 1 to 64 characters out of A-Z a-z 0-9 _ . and -.
func Backend(serverType string) Option {
	return optionFunc(func(o *options) error { return o.role(serverType, false) })
}

// Frontend makes a server of the given type that holds client connections; it
// needs at least one of WithTCP, WithWebSocket and WithAcceptor.
func Frontend(serverType string) Option {
	return optionFunc(func(o *options) error { return o.role(serverType, true) })
}

func (o *options) role(serverType string, frontend bool) error {
	if o.serverType != "" {
		return errors.New("an app is either one Frontend or one Backend: give one of the two, once")
	}
	if serverType == "" {
		return errors.New(`the server type is empty: name it, as in cereus.Backend("room")`)
	}
	o.serverType, o.frontend = serverType, frontend
	return nil
}

// Standalone makes a server without a cluster: no etcd, no NATS, and every
// route is its own.
func Standalone() Option {
	return optionFunc(func(o *options) error { o.standalone = true; return nil })
}

// WithID sets the server's id, which is unique in the cluster; the same
// characters as for a type. Without it every start has a random one. A server
// with a fixed id that restarts after a crash waits until its old registration
// has run out.
func WithID(id string) Option {
	return optionFunc(func(o *options) error { o.id = id; return nil })
}

// WithMetadata gives the server metadata that every server of the cluster sees.
func WithMetadata(metadata map[string]string) Option {
	return optionFunc(func(o *options) error { o.metadata = maps.Clone(metadata); return nil })
}

// WithConfig replaces the default configuration; see config.Load.
func WithConfig(c *config.Config) Option {
	return optionFunc(func(o *options) error {
		if c == nil {
			return errors.New("WithConfig(nil): pass what config.Load or config.Default returned")
		}
		o.config = c
		return nil
	})
}

// WithSerializer sets the codec of payloads, which is otherwise taken from the
// key serializertype. All servers of a cluster need the same (wire.md 9.1).
func WithSerializer(s serializer.Serializer) Option {
	return optionFunc(func(o *options) error { o.serializer = s; return nil })
}

// WithLogger sets where the app logs; without it everything but debug
// messages goes to standard error.
func WithLogger(log logrus.FieldLogger) Option {
	return optionFunc(func(o *options) error { o.log = log; return nil })
}

// WithEtcdClient uses a client that exists instead of connecting with
// cluster.sd.etcd.endpoints. The app does not close it.
func WithEtcdClient(c *clientv3.Client) Option {
	return optionFunc(func(o *options) error { o.etcd = c; return nil })
}

// WithHealthCheck keeps the server out of the list of servers while check fails
// (cluster.Health, keys cluster.sd.etcd.health.*): it is given no new work and
// goes on with what it has. cluster.CheckTCP and cluster.CheckHTTP make checks.
func WithHealthCheck(check cluster.HealthCheck) Option {
	return optionFunc(func(o *options) error { o.checks = append(o.checks, check); return nil })
}

// WithServerFilter has this server see only the servers for which sees returns
// true; itself it always sees. sees is called for every value read from etcd:
// it must be quick.
func WithServerFilter(sees func(s *cluster.Server) bool) Option {
	return optionFunc(func(o *options) error { o.filter = sees; return nil })
}

// WithSignals makes Run stop on the given signals, SIGINT and SIGTERM when none
// are given. A second one gives up waiting for whatever is under way.
func WithSignals(signals ...os.Signal) Option {
	return optionFunc(func(o *options) error {
		if len(signals) == 0 {
			signals = []os.Signal{os.Interrupt, syscall.SIGTERM}
		}
		o.signals = signals
		return nil
	})
}

// WithTCP accepts clients on a TCP address such as ":3250", with the limits of
// the configuration. opts add to them: acceptor.WithTLS, for one.
func WithTCP(address string, opts ...acceptor.Option) Option {
	return acceptorOption(func(a *App) acceptor.Acceptor {
		return acceptor.NewTCP(address, append(a.acceptorOptions(), opts...)...)
	})
}

// WithWebSocket accepts clients on a WebSocket address such as ":3251", with
// the limits of the configuration. opts add to them: acceptor.WithOrigins.
func WithWebSocket(address string, opts ...acceptor.Option) Option {
	return acceptorOption(func(a *App) acceptor.Acceptor {
		return acceptor.NewWebSocket(address, append(a.acceptorOptions(), opts...)...)
	})
}

// WithAcceptor accepts clients on an acceptor that the caller made, with its
// own limits.
func WithAcceptor(made acceptor.Acceptor) Option {
	if made == nil {
		return optionFunc(func(*options) error {
			return errors.New("WithAcceptor(nil): pass an acceptor, such as acceptor.NewTCP makes")
		})
	}
	return acceptorOption(func(*App) acceptor.Acceptor { return made })
}

func acceptorOption(build func(*App) acceptor.Acceptor) Option {
	return optionFunc(func(o *options) error { o.acceptors = append(o.acceptors, build); return nil })
}

// WithRouter sets how a server of the type is picked, for clients' messages
// (router.ToHandler), for calls of servers (router.ToRemote) or, with 0, for
// both; the type "" is every type that has no router of its own. Without it the
// keys cluster.router.* say how, and without these it is chance, in proportion to
// the servers' weights. Package router has the usual ways, and says which when;
// servers that are draining, paused, suspect or hang are not offered to any.
// Calls with To and ToLeader do not ask; WithKey goes by the key. App.SetRouter
// takes routers that need the app.
func WithRouter(serverType string, kind router.Kind, pick router.Func) Option {
	return optionFunc(func(o *options) error {
		if err := checkRouter(serverType, kind); err != nil {
			return err
		}
		o.routers = append(o.routers, routerOption{serverType, kind, pick})
		return nil
	})
}

// WithHandlerMiddleware puts middleware around every handler, the first given outermost.
func WithHandlerMiddleware(mw ...pipeline.Middleware) Option {
	return optionFunc(func(o *options) error { o.handlers = append(o.handlers, mw...); return nil })
}

// WithRemoteMiddleware puts middleware around every remote, the first given
// outermost. The framework's own remotes, by which backends bind and kick, pass
// through it as well: let what it does not know go on.
func WithRemoteMiddleware(mw ...pipeline.Middleware) Option {
	return optionFunc(func(o *options) error { o.remotes = append(o.remotes, mw...); return nil })
}

// WithCallMiddleware puts middleware around every call that this server makes
// (RPC, Notify and the other forms; with all retries, and once per server for
// CallAll), the first given outermost. in is the argument, out the pointer that
// the caller reads the reply into, nil for none; a middleware may return another
// value of its type instead. CalledRoute tells the route. Clients' messages that
// are forwarded do not come through here.
func WithCallMiddleware(mw ...pipeline.Middleware) Option {
	return optionFunc(func(o *options) error { o.calls = append(o.calls, mw...); return nil })
}

// WithHandshakeValidator refuses clients whose handshake check returns an error
// for. All validators must agree; the client is not told which one did not.
func WithHandshakeValidator(name string, check func(ctx context.Context, h *protocol.HandshakeRequest) error) Option {
	return optionFunc(func(o *options) error {
		if check == nil {
			return fmt.Errorf("WithHandshakeValidator(%q, nil): pass a function", name)
		}
		if _, taken := o.validators[name]; taken {
			return fmt.Errorf("two handshake validators are named %q", name)
		}
		if o.validators == nil {
			o.validators = make(map[string]agent.Validator)
		}
		o.validators[name] = check
		return nil
	})
}

// WithRouteDictionary lets clients and server send two bytes instead of the
// given routes (wire.md 3.4). Clients made with libpitaya do not understand it.
func WithRouteDictionary(codes map[string]uint16) Option {
	return optionFunc(func(o *options) error { o.dictionary = maps.Clone(codes); return nil })
}

// WithRateLimiting lets each connection send conn.ratelimiting.limit messages per
// conn.ratelimiting.interval. Requests beyond are answered with RateLimited; a
// client that goes on is disconnected. conn.ratelimiting.forcedisable switches
// it off again.
func WithRateLimiting() Option {
	return optionFunc(func(o *options) error { o.limited = true; return nil })
}

// WithLenientHandshake accepts an ack without a handshake, and a second
// handshake, as Pitaya does (wire.md 2.1). No known client needs it.
func WithLenientHandshake() Option {
	return optionFunc(func(o *options) error { o.lenient = agent.AsPitaya; return nil })
}
