package config

import "time"

// Cluster is what servers are to each other.
type Cluster struct {
	Info   Info       `key:"info"`
	Load   ServerLoad `key:"load"`
	NATS   NATS       `key:"nats"`
	Window Window     `key:"window"`
	RPC    RPC        `key:"rpc"`
	Router Router     `key:"router"`
	SD     Discovery  `key:"sd"`
}

// ServerLoad is how busy this server is, told to the others over NATS.
type ServerLoad struct {
	Interval time.Duration `key:"interval" default:"1s" validate:"off_or_100ms" doc:"how often this server tells the others its load; less often where everybody would hear more than 200 reports a second; 0 is never"`
}

// Info describes this server to others.
type Info struct {
	Region string `key:"region" default:"" doc:"region of this server, told to others in its metadata"`
}

// NATS is what all NATS connections of a server share.
type NATS struct {
	Prefix string `key:"prefix" default:"{root}/" validate:"nats_prefix" doc:"put before every NATS subject, verbatim; servers that are to meet have the same"`
}

// Window bounds unanswered forwards (design section 4).
type Window struct {
	Session int `key:"session" default:"32" validate:"gte=1" doc:"most unanswered forwards of one session to one server"`
	Server  int `key:"server" default:"1024" validate:"gte=1" doc:"most unanswered forwards of this frontend to one server"`
	Pitaya  int `key:"pitaya" default:"48" validate:"gte=1" doc:"the same to a Pitaya server, which drops what is beyond its buffers"`
}

// RPC is the calls between servers.
type RPC struct {
	Client RPCClient `key:"client"`
	Server RPCServer `key:"server"`
}

// RPCClient is the calling side.
type RPCClient struct {
	NATS NATSClient `key:"nats"`
}

// RPCServer is the called side.
type RPCServer struct {
	Concurrency     int        `key:"concurrency" default:"1024" validate:"gte=1" doc:"remotes that run at once; what arrives beyond is answered with Busy"`
	RouteShare      int        `key:"routeshare" default:"50" validate:"gte=1,lte=100" doc:"percent of concurrency that one route may use, but at least 1 call, so that a slow route does not starve the others; component.WithLimit sets another limit for a remote"`
	LoopbackEnabled bool       `key:"loopbackenabled" default:"false" doc:"allow calls that this server itself serves"`
	NATS            NATSServer `key:"nats"`
}

// NATSClient is the NATS connection of the calling side.
type NATSClient struct {
	NATSConnection
	RequestTimeout time.Duration `key:"requesttimeout" default:"5s" validate:"gte=1ms" doc:"deadline of a call whose caller has set none"`
}

// NATSServer is the NATS connection of the called side.
type NATSServer struct {
	NATSConnection
}

// NATSConnection is how a connection to NATS is made, watched and rebuilt.
type NATSConnection struct {
	Connect                URLs          `key:"connect" default:"nats://localhost:4222" validate:"required" doc:"NATS servers, URLs separated by commas; may carry user and password, which are never printed"`
	ConnectionTimeout      time.Duration `key:"connectiontimeout" default:"2s" validate:"gte=1ms" doc:"longest wait for one connection attempt"`
	MaxReconnectionRetries int           `key:"maxreconnectionretries" default:"-1" pitaya:"15" validate:"gte=-1" doc:"reconnect attempts per NATS server before the connection is given up and the server stops; -1 is forever"`
	WebsocketCompression   bool          `key:"websocketcompression" default:"true" doc:"compress when connect is a ws:// or wss:// URL"`
	ReconnectWait          time.Duration `key:"reconnectwait" default:"100ms" pitaya:"1s" validate:"gte=0" doc:"pause before each reconnect attempt"`
	ReconnectJitter        time.Duration `key:"reconnectjitter" default:"400ms" pitaya:"100ms" validate:"gte=0" doc:"random time added to reconnectwait"`
	ReconnectJitterTLS     time.Duration `key:"reconnectjittertls" default:"400ms" pitaya:"1s" validate:"gte=0" doc:"random time added to reconnectwait on TLS connections"`
	PingInterval           time.Duration `key:"pinginterval" default:"1s" pitaya:"2m" validate:"gte=1ms" doc:"time between pings that find a dead NATS connection"`
	MaxPingsOutstanding    int           `key:"maxpingsoutstanding" default:"2" pitaya:"3" validate:"gte=1" doc:"unanswered pings after which the connection is dead"`
	FlusherTimeout         time.Duration `key:"flushertimeout" default:"1s" validate:"gte=1ms" doc:"longest single write to NATS; a longer one means a dead connection"`
}

// Discovery is who is in the cluster.
type Discovery struct {
	Etcd EtcdDiscovery `key:"etcd"`
}

// OnLoss says what a server does when it has lost its lease.
type OnLoss string

// What a server may do about a lost lease (design section 3, "Who dies").
const (
	OnLossContinue OnLoss = "continue" // calls go on over the last view, registration is retried forever
	OnLossFence    OnLoss = "fence"    // the same, but no new players are taken
	OnLossExit     OnLoss = "exit"     // Pitaya's way: after grantlease.maxretries the app ends
)

// EtcdDiscovery is service discovery in etcd (wire.md 6).
type EtcdDiscovery struct {
	EtcdConnection
	Prefix               string        `key:"prefix" default:"{root}/" doc:"put before every key, verbatim; servers that are to meet have the same"`
	Heartbeat            EtcdHeartbeat `key:"heartbeat"`
	SyncServers          SyncServers   `key:"syncservers"`
	Revoke               Revoke        `key:"revoke"`
	GrantLease           GrantLease    `key:"grantlease"`
	Shutdown             EtcdShutdown  `key:"shutdown"`
	ServerTypesBlacklist []string      `key:"servertypesblacklist" default:"" validate:"dive,required" doc:"server types that this server does not want to see"`
	Health               Health        `key:"health"`
	OnLoss               OnLoss        `key:"onloss" default:"continue" validate:"oneof=continue fence exit" doc:"what a lost lease means: continue (calls go on, registering is retried forever), fence (also take no new players) or exit (end after grantlease.maxretries; implied when that key is set)"`
}

// EtcdConnection is how etcd is reached. What is equal in all of it shares one
// connection within an app.
type EtcdConnection struct {
	Endpoints   []string      `key:"endpoints" default:"localhost:2379" validate:"min=1,dive,required,excludes=@" doc:"etcd endpoints, host:port or URLs, all with the same scheme; https:// is TLS also without the tls keys"`
	User        string        `key:"user" default:"" doc:"etcd user; used when pass is set too"`
	Pass        Secret        `key:"pass" default:"" doc:"password of the etcd user"`
	DialTimeout time.Duration `key:"dialtimeout" default:"5s" validate:"gte=1ms" doc:"longest wait for a connection to etcd"`
	TLS         TLS           `key:"tls"`
}

// TLS is the encryption of a connection. It is on when a key of it is set, or an
// endpoint is https://. There is no key that leaves the server unchecked.
type TLS struct {
	CA         string `key:"ca" default:"" doc:"PEM file with the authorities that the server's certificate is checked against; empty: those of the system"`
	Cert       string `key:"cert" default:"" doc:"PEM file with this server's own certificate, for a peer that asks for one; read again for each connection, so that a renewed one counts without a restart"`
	Key        string `key:"key" default:"" doc:"PEM file with the key of that certificate"`
	ServerName string `key:"servername" default:"" doc:"name that the server's certificate must have; empty: that of the endpoint"`
}

// Health is when a failing health check takes this server out of the list, and
// when it comes back.
type Health struct {
	Interval time.Duration `key:"interval" default:"2s" validate:"gte=10ms" doc:"time between health checks of this server"`
	Timeout  time.Duration `key:"timeout" default:"1s" validate:"gte=1ms" doc:"longest a health check may take"`
	Failures int           `key:"failures" default:"3" validate:"gte=1" doc:"checks in a row that fail before this server is taken out of the list"`
	Passes   int           `key:"passes" default:"1" validate:"gte=1" doc:"checks in a row that pass before it is put back"`
}

// EtcdHeartbeat keeps this server's entry alive.
type EtcdHeartbeat struct {
	TTL time.Duration `key:"ttl" default:"60s" validate:"gte=1s" doc:"lifetime of the lease: a crashed server is gone after it; 5s is recommended"`
	Log bool          `key:"log" default:"false" doc:"log every renewal of the lease at debug level"`
}

// SyncServers compares the view with etcd from time to time.
type SyncServers struct {
	Interval    time.Duration `key:"interval" default:"120s" validate:"gte=1s" doc:"time between full comparisons of the view with etcd"`
	Parallelism int           `key:"parallelism" default:"10" validate:"gte=1" doc:"most pages that a listing of the servers reads ahead of decoding them"`
}

// Revoke gives up the lease at shutdown.
type Revoke struct {
	Timeout time.Duration `key:"timeout" default:"5s" validate:"gte=1ms" doc:"longest wait for etcd when leaving"`
}

// GrantLease gets a lease, first or again.
type GrantLease struct {
	Timeout       time.Duration `key:"timeout" default:"60s" validate:"gte=1ms" doc:"longest wait for a lease; a later answer is not used"`
	MaxRetries    int           `key:"maxretries" default:"15" validate:"gte=0" doc:"attempts to get a lost lease again before the server ends; only with onloss exit, which setting this implies"`
	RetryInterval time.Duration `key:"retryinterval" default:"5s" validate:"gte=1ms" doc:"longest pause between such attempts"`
}

// EtcdShutdown is the pause between leaving and stopping.
type EtcdShutdown struct {
	Delay time.Duration `key:"delay" default:"300ms" validate:"gte=0" doc:"time that others have to notice that this server left, before it refuses calls"`
}
