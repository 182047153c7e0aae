package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/template"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/cereus-game/cereus/embedded"
)

// stopTimeout bounds the stop of etcd and NATS.
const stopTimeout = 10 * time.Second

type devFlags struct {
	etcdPort, natsPort int
	data               string
	verbose            bool
}

func newDev() *cobra.Command {
	var f devFlags
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run etcd and NATS in this process until Ctrl-C",
		Long: `Run etcd and NATS in this process until Ctrl-C, for development.

Both listen on the loopback interface only, without passwords. The ports are the
usual ones, so that servers with default settings find them. Nothing is kept
when it ends, unless --data names a folder. An etcd that begins empty counts its
revisions anew, and with them the fencing tokens of leaders: keep --data when you
try out what remembers the highest token.`,
		Example: `  cereus dev
  cereus dev --data ~/.cereus-dev
  cereus dev --etcd-port 0 --nats-port 0   # any free ports`,
		GroupID: developingGroup,
		Args:    args(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDev(cmd.Context(), cmd, f) },
	}
	cmd.Flags().IntVar(&f.etcdPort, "etcd-port", 2379, "port of etcd on 127.0.0.1, 0 for a free one")
	cmd.Flags().IntVar(&f.natsPort, "nats-port", 4222, "port of NATS on 127.0.0.1, 0 for a free one")
	cmd.Flags().StringVar(&f.data, "data", "", "folder that keeps the data (default: a temporary one)")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "show warnings and errors of etcd and NATS")
	return cmd
}

func runDev(ctx context.Context, cmd *cobra.Command, f devFlags) error {
	for name, port := range map[string]int{"--etcd-port": f.etcdPort, "--nats-port": f.natsPort} {
		if port < 0 || port > 65535 {
			return wrongUse(cmd, fmt.Errorf("%s %d: a port is between 0 and 65535", name, port))
		}
	}
	c, err := embedded.Start(ctx, f.options()...)
	if err != nil {
		if ctx.Err() != nil {
			return nil // Ctrl-C while starting
		}
		return f.failed(err)
	}
	defer stopDev(c)
	if err := printHowTo(cmd.OutOrStdout(), c); err != nil {
		return err
	}
	<-ctx.Done()
	_, err = fmt.Fprintln(cmd.OutOrStdout(), "\nstopping")
	return err
}

func (f devFlags) options() []embedded.Option {
	opts := []embedded.Option{embedded.WithEtcdPort(f.etcdPort), embedded.WithNATSPort(f.natsPort)}
	if f.data != "" {
		opts = append(opts, embedded.WithDir(f.data))
	}
	if f.verbose {
		log := logrus.New()
		log.SetOutput(os.Stderr)
		opts = append(opts, embedded.WithLogger(log))
	}
	return opts
}

// failed says why etcd and NATS could not be started, in terms of the flags.
func (f devFlags) failed(err error) error {
	taken, ok := errors.AsType[*embedded.PortError](err)
	if !ok {
		return err
	}
	name, flag, port := "etcd", "--etcd-port", f.etcdPort
	if taken.Server != name {
		name, flag, port = "NATS", "--nats-port", f.natsPort
	}
	return fmt.Errorf("port %d, the one for %s, is in use (by another 'cereus dev', or the containers of docker-compose.yml, "+
		"which servers can use as they are?): end what holds it, or choose another with %s, 0 for any free one", port, name, flag)
}

func stopDev(c *embedded.Cluster) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := c.Stop(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "cereus: stopping: %v\n", err)
	}
}

const howTo = `etcd is at {{.Etcd}}, NATS is at {{.NATS}}
{{if .Usual}}
Servers with default settings find both. To be explicit, or for another program,
{{- else}}
Tell your servers:{{end}} copy into their config file:

cereus:
  cluster:
    sd:
      etcd:
        endpoints: ["{{.Etcd}}"]
    rpc:
      client:
        nats:
          connect: {{.NATS}}
      server:
        nats:
          connect: {{.NATS}}

or into their environment:

export CEREUS_CLUSTER_SD_ETCD_ENDPOINTS={{.Etcd}}
export CEREUS_CLUSTER_RPC_CLIENT_NATS_CONNECT={{.NATS}}
export CEREUS_CLUSTER_RPC_SERVER_NATS_CONNECT={{.NATS}}

See who is there:          cereus servers --endpoints {{.Etcd}} --watch
The same with containers:  docker compose up --wait

Ctrl-C stops both.
`

func printHowTo(w io.Writer, c *embedded.Cluster) error {
	t, err := template.New("dev").Parse(howTo)
	if err != nil {
		return err
	}
	facts := struct {
		Etcd, NATS string
		Usual      bool
	}{Etcd: strings.Join(c.EtcdEndpoints(), ","), NATS: c.NATSURL()}
	facts.Usual = strings.HasSuffix(facts.Etcd, ":2379") && strings.HasSuffix(facts.NATS, ":4222")
	return t.Execute(w, facts)
}
