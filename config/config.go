package config

import "time"

// Config is the tree of all settings. Default and Load return complete, valid
// values; one that was changed by hand can be checked with Validate.
//
// Struct tags are the schema: key is one part of the dotted key, default and
// unit are what the documentation shows, pitaya is Pitaya's default where ours
// differs, validate is checked by Load, doc says what the setting does.
type Config struct {
	// Root is the first part of every key, "cereus" or "pitaya". Load sets it.
	Root string

	notes []Note // what Load had to say

	SerializerType   SerializerType   `key:"serializertype" default:"json" validate:"oneof=json protobuf" doc:"payload codec of clients: json (1) or protobuf (2)"`
	Heartbeat        Heartbeat        `key:"heartbeat"`
	Handler          Handler          `key:"handler"`
	DefaultPipelines DefaultPipelines `key:"defaultpipelines"`
	Buffer           Buffer           `key:"buffer"`
	Session          Session          `key:"session"`
	Acceptor         Acceptor         `key:"acceptor"`
	Conn             Conn             `key:"conn"`
	Errors           Errors           `key:"errors"`
	Boot             Boot             `key:"boot"`
	Shutdown         Shutdown         `key:"shutdown"`
	Admin            Admin            `key:"admin"`
	Metrics          Metrics          `key:"metrics"`
	Cluster          Cluster          `key:"cluster"`
	Groups           Groups           `key:"groups"`
	Modules          Modules          `key:"modules"`
}

// SerializerType names the payload codec. Files may also say 1 or 2, as Pitaya does.
type SerializerType string

// The serializers that a configuration can name.
const (
	SerializerJSON     SerializerType = "json"
	SerializerProtobuf SerializerType = "protobuf"
)

// Heartbeat is how clients are kept and found dead (wire.md 2.5).
type Heartbeat struct {
	Interval time.Duration `key:"interval" default:"30s" validate:"gte=1s,lte=24h,wholeseconds" doc:"time between heartbeats, announced to clients; a silent client is closed after 2 to 3 intervals"`
}

// Handler is how messages are encoded for clients.
type Handler struct {
	Messages Messages `key:"messages"`
}

// Messages is the compression of message bodies (wire.md 3.5).
type Messages struct {
	Compression          bool `key:"compression" default:"false" pitaya:"true" doc:"deflate message bodies to clients when that makes them smaller"`
	CompressionThreshold int  `key:"compressionthreshold" default:"1024" unit:"bytes" validate:"gte=0" doc:"smallest body that compression is tried on"`
}

// DefaultPipelines are the middleware that can be switched on here.
type DefaultPipelines struct {
	StructValidation StructValidation `key:"structvalidation"`
}

// StructValidation checks the validate tags of handler arguments.
type StructValidation struct {
	Enabled bool `key:"enabled" default:"false" doc:"check the validate tags of handler arguments before the handler runs"`
}

// Buffer is what waits for a slow client.
type Buffer struct {
	Agent AgentBuffer `key:"agent"`
}

// AgentBuffer bounds the write queue of one session. Beyond it the connection
// is closed with reason "slow".
type AgentBuffer struct {
	Messages    int           `key:"messages" default:"256" pitaya:"100" validate:"gte=1" doc:"most messages in the write queue of a session"`
	Bytes       int           `key:"bytes" default:"1MiB" unit:"bytes" validate:"gte=4096" doc:"most bytes in the write queue of a session"`
	ConnTimeout time.Duration `key:"conntimeout" default:"5s" pitaya:"10s" validate:"gte=1ms" doc:"write deadline of a connection; one that takes longer is closed"`
}

// Values of Session.Policy.
const (
	SessionPerUser   = "user"
	SessionPerDevice = "device"
	SessionsSeveral  = "several"
)

// Session is what holds for players.
type Session struct {
	Unique  bool   `key:"unique" default:"true" doc:"a uid has one session in the cluster: a new one kicks the old"`
	Policy  string `key:"policy" default:"user" validate:"oneof=user device several" doc:"how many sessions a uid has: one (user), one per device (device), or up to session.peruser on each frontend (several)"`
	PerUser int    `key:"peruser" default:"8" validate:"gte=2,lte=1000" doc:"most sessions of a uid on a frontend, with session.policy device or several; one more ends the oldest"`
	Device  string `key:"device" default:"device" validate:"required" doc:"key of the handshake's user data that names the client's device, with session.policy device"`
}

// Acceptor is what holds for every listening socket.
type Acceptor struct {
	ProxyProtocol bool          `key:"proxyprotocol" default:"false" doc:"expect a PROXY protocol header (v1 or v2) on new connections"`
	ProxyTimeout  time.Duration `key:"proxytimeout" default:"1s" validate:"gte=1ms,lte=24h" doc:"longest wait for the PROXY header"`
	Proxies       Proxies       `key:"proxies"`
}

// Proxies are those in front of the acceptors that are believed when they tell
// a client's address.
type Proxies struct {
	Trusted []string `key:"trusted" default:"" validate:"dive,network" doc:"networks or addresses of the proxies, such as 10.0.0.0/8; with acceptor.proxyprotocol an empty list believes every peer"`
	Header  string   `key:"header" default:"" validate:"omitempty,oneof=x-forwarded-for forwarded" doc:"header in which they tell the client's address on WebSocket: x-forwarded-for or forwarded, the one that they write themselves; needs acceptor.proxies.trusted; empty is none"`
}

// Conn is what one client connection may do.
type Conn struct {
	HandshakeTimeout time.Duration `key:"handshaketimeout" default:"5s" validate:"gte=1ms,lte=24h" doc:"deadline for TLS handshake and WebSocket upgrade together, and then for the handshake of the game"`
	Mailbox          int           `key:"mailbox" default:"64" validate:"gte=1" doc:"messages of a session that wait for their handler; beyond them, or 1 MiB of data, its connection is not read"`
	Limits           Limits        `key:"limits"`
	RateLimiting     RateLimiting  `key:"ratelimiting"`
}

// Limits bounds what a client may send.
type Limits struct {
	Packet      int `key:"packet" default:"64KiB" unit:"bytes" validate:"gte=1,lte=16777215" doc:"largest packet body from a client (the protocol allows 2^24-1)"`
	Handshake   int `key:"handshake" default:"4KiB" unit:"bytes" validate:"gte=2,lte=16777215" doc:"largest packet body before the handshake is complete"`
	HTTPHeader  int `key:"httpheader" default:"8KiB" unit:"bytes" validate:"gte=512,lte=1048576" doc:"largest HTTP header of a WebSocket upgrade"`
	Inflated    int `key:"inflated" default:"1MiB" unit:"bytes" validate:"gte=1" doc:"largest message body after inflating"`
	Connections int `key:"connections" default:"0" validate:"gte=0" doc:"most client connections of this server, over all its acceptors; what comes beyond is closed at once; 0 is no limit"`
	PerAddress  int `key:"peraddress" default:"0" validate:"gte=0" doc:"most of them from one address (of IPv6: from one /64 network); 0 is no limit"`
	Ratio       int `key:"ratio" default:"10" validate:"gte=1" doc:"largest inflated size as a multiple of the compressed size"`
}

// RateLimiting bounds the messages of clients: those of one connection where the
// application asked for it, as in Pitaya; those of one user or address where
// there is a limit here.
type RateLimiting struct {
	Limit        int           `key:"limit" default:"20" validate:"gte=1" doc:"messages that a connection may send in one interval, where the application asked for it (cereus.WithRateLimiting)"`
	Interval     time.Duration `key:"interval" default:"1s" validate:"gte=1ms" doc:"the interval that conn.ratelimiting.limit counts in"`
	ForceDisable bool          `key:"forcedisable" default:"false" doc:"switch rate limiting off wherever the application asked for it"`
	User         SharedRate    `key:"user"`
	Address      SharedRate    `key:"address"`
}

// SharedRate bounds the messages of several connections together.
type SharedRate struct {
	Limit    int           `key:"limit" default:"0" validate:"gte=0" doc:"messages that all connections of one user, or one address (of IPv6: one /64 network), may send together in one interval; 0 is no limit"`
	Interval time.Duration `key:"interval" default:"1s" validate:"gte=1ms" doc:"the interval that the limit counts in"`
}

// Errors is what errors tell clients.
type Errors struct {
	HidePanics bool `key:"hidepanics" default:"false" doc:"answer a panic of a handler with a fixed text instead of the panic's value"`
}

// Boot is how long a start may take.
type Boot struct {
	Timeout time.Duration `key:"timeout" default:"30s" validate:"gte=1ms" doc:"how long etcd and NATS are tried again at the start before it fails"`
}

// Shutdown is how long a stop may take.
type Shutdown struct {
	Timeout time.Duration `key:"timeout" default:"30s" validate:"gte=1ms" doc:"longest graceful shutdown: sessions drain and accepted calls are answered until then"`
}

// Admin is the HTTP address for operators.
type Admin struct {
	Address string `key:"address" default:"" validate:"omitempty,admin_address" doc:"address of /healthz, /readyz and /metrics; empty is off, a bare port (:9090 or 9090) listens on loopback only"`
	Token   Secret `key:"token" default:"" validate:"omitempty,token" doc:"bearer token of the discovery API, which is served only when this and admin.address are set, and not by a standalone server"`
	Pprof   bool   `key:"pprof" default:"false" doc:"serve /debug/pprof on the admin address too"`
}

// Groups is where sets of uids are kept.
type Groups struct {
	Store     GroupsStore     `key:"store" default:"memory" validate:"oneof=memory etcd jetstream" doc:"where App.Groups keeps groups: memory (each server its own), etcd (with the keys groups.etcd; Pitaya servers see them too) or jetstream (in NATS 2.11 or newer)"`
	Etcd      GroupsEtcd      `key:"etcd"`
	JetStream GroupsJetStream `key:"jetstream"`
	Memory    GroupsMemory    `key:"memory"`
}

// GroupsStore is where App.Groups keeps groups.
type GroupsStore string

// The stores of groups.
const (
	GroupsInMemory    GroupsStore = "memory"
	GroupsInEtcd      GroupsStore = "etcd"
	GroupsInJetStream GroupsStore = "jetstream"
)

// GroupsJetStream is groups kept in a key-value bucket of JetStream.
type GroupsJetStream struct {
	Bucket   string        `key:"bucket" default:"{root}_groups" validate:"required" doc:"key-value bucket, letters, digits, _ and -; made when it is not there. The connection is as the keys cluster.rpc.client.nats say"`
	Replicas int           `key:"replicas" default:"1" validate:"gte=1,lte=5" doc:"NATS servers on which a new bucket is kept"`
	Timeout  time.Duration `key:"timeout" default:"5s" validate:"gte=1ms" doc:"longest single operation on JetStream"`
}

// GroupsEtcd is groups kept in etcd (wire.md 12.2).
type GroupsEtcd struct {
	EtcdConnection
	Prefix             string        `key:"prefix" default:"{root}/" doc:"put before every key of groups, verbatim"`
	TransactionTimeout time.Duration `key:"transactiontimeout" default:"5s" validate:"gte=1ms" doc:"longest single operation on etcd"`
}

// Modules are parts of Pitaya that the application switches on.
type Modules struct {
	BindingStorage BindingStorage `key:"bindingstorage"`
}

// BindingStorage is Pitaya's record of which frontend a user is bound to
// (wire.md 12.1), for programs that read it. Nothing here needs it.
type BindingStorage struct {
	Enabled bool               `key:"enabled" default:"false" doc:"write Pitaya's plain binding keys, too, for programs that read them; frontends only"`
	Etcd    BindingStorageEtcd `key:"etcd"`
}

// BindingStorageEtcd is where Pitaya's binding keys are.
type BindingStorageEtcd struct {
	EtcdConnection
	Prefix   string        `key:"prefix" default:"{root}/" doc:"put before every plain binding key, verbatim"`
	LeaseTTL time.Duration `key:"leasettl" default:"5h" validate:"gte=1s" doc:"lease of the plain binding keys, kept alive; in whole seconds"`
}

// GroupsMemory is groups kept in this process.
type GroupsMemory struct {
	TickDuration time.Duration `key:"tickduration" default:"30s" validate:"gte=1ms" doc:"how often groups whose time has run out are removed"`
}
