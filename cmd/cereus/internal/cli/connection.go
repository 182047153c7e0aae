package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/cereus-game/cereus/cluster"
)

// connection is how to reach the etcd of a cluster: flags that all commands for
// running one have.
type connection struct {
	endpoints []string
	prefix    string
	user      string
	passFile  string
	tls       cluster.TLSFiles
	timeout   time.Duration
}

// passEnv has the password; no flag does, for everybody can read those.
const passEnv = "CEREUS_CLUSTER_SD_ETCD_PASS"

// errInterrupted: the user did not wait.
var errInterrupted = errors.New("interrupted")

func (c *connection) register(flags *pflag.FlagSet) {
	flags.StringSliceVar(&c.endpoints, "endpoints", fromEnv("CEREUS_CLUSTER_SD_ETCD_ENDPOINTS", "localhost:2379"),
		"where etcd is, `host:port`, separated by commas (or CEREUS_CLUSTER_SD_ETCD_ENDPOINTS)")
	flags.StringVar(&c.prefix, "prefix", textFromEnv("CEREUS_CLUSTER_SD_ETCD_PREFIX", cluster.DefaultEtcdPrefix),
		"`text` that the cluster's keys begin with (or CEREUS_CLUSTER_SD_ETCD_PREFIX)")
	flags.DurationVar(&c.timeout, "timeout", cluster.DefaultDialTimeout, "longest wait for etcd to answer")
	flags.StringVar(&c.user, "user", os.Getenv("CEREUS_CLUSTER_SD_ETCD_USER"), "`name` of the user of etcd (or CEREUS_CLUSTER_SD_ETCD_USER)")
	flags.StringVar(&c.passFile, "pass-file", "", "`file` with the user's password (or the password in "+passEnv+")")
	flags.StringVar(&c.tls.CA, "ca", os.Getenv("CEREUS_CLUSTER_SD_ETCD_TLS_CA"),
		"`file` with the authorities that etcd's certificate is checked against (or CEREUS_CLUSTER_SD_ETCD_TLS_CA)")
	flags.StringVar(&c.tls.Cert, "cert", os.Getenv("CEREUS_CLUSTER_SD_ETCD_TLS_CERT"),
		"`file` with a certificate to show to etcd (or CEREUS_CLUSTER_SD_ETCD_TLS_CERT)")
	flags.StringVar(&c.tls.Key, "key", os.Getenv("CEREUS_CLUSTER_SD_ETCD_TLS_KEY"),
		"`file` with the key of that certificate (or CEREUS_CLUSTER_SD_ETCD_TLS_KEY)")
	flags.StringVar(&c.tls.ServerName, "servername", os.Getenv("CEREUS_CLUSTER_SD_ETCD_TLS_SERVERNAME"),
		"`name` that etcd's certificate must have (or CEREUS_CLUSTER_SD_ETCD_TLS_SERVERNAME)")
}

func textFromEnv(name, otherwise string) string { return cmp.Or(os.Getenv(name), otherwise) }

func fromEnv(name, otherwise string) []string {
	if v := os.Getenv(name); v != "" {
		return strings.Split(v, ",")
	}
	return []string{otherwise}
}

// check finds what is wrong with the flags together.
func (c connection) check(cmd *cobra.Command) error {
	switch {
	case c.user == "" && c.passFile != "":
		return wrongUse(cmd, errors.New("--user and --pass-file go together"))
	case c.user != "" && c.passFile == "" && os.Getenv(passEnv) == "":
		return wrongUse(cmd, errors.New("--user and --pass-file go together: give the file, or the password in "+passEnv))
	case (c.tls.Cert == "") != (c.tls.Key == ""):
		return wrongUse(cmd, errors.New("--cert and --key go together"))
	case c.timeout <= 0:
		return wrongUse(cmd, errors.New("--timeout must be above zero"))
	}
	return nil
}

func (c connection) params() (cluster.EtcdParams, error) {
	p := cluster.EtcdParams{
		Endpoints: c.endpoints, Prefix: c.prefix, Username: c.user,
		TLSFiles: c.tls, DialTimeout: c.timeout, BootTimeout: c.timeout,
	}
	if c.user != "" {
		p.Password = os.Getenv(passEnv)
	}
	if c.passFile != "" {
		secret, err := os.ReadFile(c.passFile)
		if err != nil {
			return p, fmt.Errorf("reading the password: %w", err)
		}
		p.Password = strings.TrimRight(string(secret), "\r\n")
	}
	return p, nil
}

// with does something with a view of the cluster, which is complete, and closes it.
func (c connection) with(cmd *cobra.Command, do func(ctx context.Context, view *cluster.EtcdDiscovery) error) error {
	if err := c.check(cmd); err != nil {
		return err
	}
	p, err := c.params()
	if err != nil {
		return err
	}
	view, err := cluster.NewEtcdDiscovery(p)
	if err != nil {
		return wrongUse(cmd, err)
	}
	ctx := cmd.Context()
	if err := view.Init(ctx); err != nil {
		switch {
		case ctx.Err() != nil:
			return errInterrupted
		case errors.Is(err, context.DeadlineExceeded):
			return fmt.Errorf("%w\nName its address with --endpoints; 'cereus dev' starts one for development", err)
		}
		return err
	}
	defer closeView(view)
	return do(ctx, view)
}

// change makes a change in etcd; failures that leave open whether it was made say so.
func (c connection) change(ctx context.Context, do func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	err := do(bounded)
	const unknown = "whether the change was made is not known, look with 'cereus servers'"
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %s", errInterrupted, unknown)
	case bounded.Err() != nil:
		return fmt.Errorf("etcd did not answer within %v: %s", c.timeout, unknown)
	}
	return c.denied(err)
}

// denied says what to do when the user of etcd may look and not touch.
func (c connection) denied(err error) error {
	if !errors.Is(rpctypes.Error(err), rpctypes.ErrPermissionDenied) && !errors.Is(err, rpctypes.ErrPermissionDenied) {
		return err
	}
	return fmt.Errorf("user %s of etcd may not write below %s: name one who may with --user", clean(c.user), clean(c.prefix))
}

func closeView(view *cluster.EtcdDiscovery) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := view.Shutdown(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "cereus: closing: %v\n", err)
	}
}
