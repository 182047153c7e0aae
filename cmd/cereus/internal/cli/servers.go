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

	"github.com/cereus-game/cereus/cluster"
)

type serversFlags struct {
	endpoints []string
	prefix    string
	user      string
	passFile  string
	tls       cluster.TLSFiles
	watch     bool
	json      bool
	timeout   time.Duration
}

func newServers() *cobra.Command {
	var f serversFlags
	cmd := &cobra.Command{
		Use:   "servers",
		Short: "Show the servers of a cluster",
		Long: `Show the servers that are registered in etcd, those of Pitaya included.

EPOCH is etcd's revision when the server registered: the higher of two started
later. With --watch changes follow as they come, until Ctrl-C:
  + a server came    - a server is gone (left: on purpose)    ~ it changed

--json prints one array, with --watch one object per line:
  {"event":"add","server":{...}} with event add, remove or update.
Servers of Pitaya look at the prefix "pitaya/".`,
		Example: `  cereus servers
  cereus servers --endpoints etcd-1:2379,etcd-2:2379 --watch
  cereus servers --prefix pitaya/ --json | jq '.[].id'
  cereus servers --user reader --pass-file ~/.etcd-pass
  cereus servers --endpoints https://etcd-1:2379 --ca ca.pem --cert me.pem --key me-key.pem`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return runServers(cmd, f) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.endpoints, "endpoints", fromEnv("CEREUS_CLUSTER_SD_ETCD_ENDPOINTS", "localhost:2379"),
		"where etcd is, host:port, separated by commas (or CEREUS_CLUSTER_SD_ETCD_ENDPOINTS)")
	flags.StringVar(&f.prefix, "prefix", textFromEnv("CEREUS_CLUSTER_SD_ETCD_PREFIX", cluster.DefaultEtcdPrefix),
		"what the cluster's keys begin with (or CEREUS_CLUSTER_SD_ETCD_PREFIX)")
	flags.StringVar(&f.user, "user", os.Getenv("CEREUS_CLUSTER_SD_ETCD_USER"), "user of etcd (or CEREUS_CLUSTER_SD_ETCD_USER)")
	flags.StringVar(&f.passFile, "pass-file", "", "file with the user's password (or the password in "+passEnv+")")
	flags.StringVar(&f.tls.CA, "ca", os.Getenv("CEREUS_CLUSTER_SD_ETCD_TLS_CA"),
		"file with the authorities that etcd's certificate is checked against (or CEREUS_CLUSTER_SD_ETCD_TLS_CA)")
	flags.StringVar(&f.tls.Cert, "cert", os.Getenv("CEREUS_CLUSTER_SD_ETCD_TLS_CERT"),
		"file with a certificate to show to etcd (or CEREUS_CLUSTER_SD_ETCD_TLS_CERT)")
	flags.StringVar(&f.tls.Key, "key", os.Getenv("CEREUS_CLUSTER_SD_ETCD_TLS_KEY"),
		"file with the key of that certificate (or CEREUS_CLUSTER_SD_ETCD_TLS_KEY)")
	flags.StringVar(&f.tls.ServerName, "servername", os.Getenv("CEREUS_CLUSTER_SD_ETCD_TLS_SERVERNAME"),
		"name that etcd's certificate must have (or CEREUS_CLUSTER_SD_ETCD_TLS_SERVERNAME)")
	flags.BoolVarP(&f.watch, "watch", "w", false, "go on and show changes as they come")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	flags.DurationVar(&f.timeout, "timeout", cluster.DefaultDialTimeout, "longest wait for etcd to answer")
	return cmd
}

// passEnv has the password; no flag does, for everybody can read those.
const passEnv = "CEREUS_CLUSTER_SD_ETCD_PASS"

func textFromEnv(name, otherwise string) string { return cmp.Or(os.Getenv(name), otherwise) }

func fromEnv(name, otherwise string) []string {
	if v := os.Getenv(name); v != "" {
		return strings.Split(v, ",")
	}
	return []string{otherwise}
}

func (f serversFlags) params() (cluster.EtcdParams, error) {
	p := cluster.EtcdParams{
		Endpoints: f.endpoints, Prefix: f.prefix, Username: f.user,
		TLSFiles: f.tls, DialTimeout: f.timeout, BootTimeout: f.timeout,
	}
	if f.user != "" {
		p.Password = os.Getenv(passEnv)
	}
	if f.passFile != "" {
		secret, err := os.ReadFile(f.passFile)
		if err != nil {
			return p, fmt.Errorf("reading the password: %w", err)
		}
		p.Password = strings.TrimRight(string(secret), "\r\n")
	}
	return p, nil
}

func runServers(cmd *cobra.Command, f serversFlags) error {
	switch {
	case f.user == "" && f.passFile != "":
		return wrongUse(cmd, errors.New("--user and --pass-file go together"))
	case f.user != "" && f.passFile == "" && os.Getenv(passEnv) == "":
		return wrongUse(cmd, errors.New("--user and --pass-file go together: give the file, or the password in "+passEnv))
	case (f.tls.Cert == "") != (f.tls.Key == ""):
		return wrongUse(cmd, errors.New("--cert and --key go together"))
	}
	if f.timeout <= 0 {
		return wrongUse(cmd, errors.New("--timeout must be above zero"))
	}
	p, err := f.params()
	if err != nil {
		return err
	}
	view, err := cluster.NewEtcdDiscovery(p)
	if err != nil {
		return wrongUse(cmd, err)
	}
	ctx := cmd.Context()
	if err := view.Init(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return fmt.Errorf("%w\nName its address with --endpoints; 'cereus dev' starts one for development", err)
	}
	defer closeView(view)
	if f.watch {
		return watchServers(ctx, cmd, view, f.json)
	}
	return listServers(cmd.OutOrStdout(), view.Servers(), f)
}

func closeView(view *cluster.EtcdDiscovery) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := view.Shutdown(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "cereus: closing: %v\n", err)
	}
}
