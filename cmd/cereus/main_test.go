package main_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

const long = 30 * time.Second

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "cereus-cmd")
	if err != nil {
		panic(err)
	}
	binary := filepath.Join(dir, "cereus")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		panic(err)
	}
	_ = os.Setenv("CEREUS_TEST_BINARY", binary)
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// output collects what a process writes while it runs.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// process is the program as a child process.
type process struct {
	t        *testing.T
	cmd      *exec.Cmd
	out, err output
}

// command prepares the program; the caller may still change cmd.
func command(t *testing.T, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*long)
	t.Cleanup(cancel)
	p := &process{t: t, cmd: exec.CommandContext(ctx, os.Getenv("CEREUS_TEST_BINARY"), args...)}
	p.cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+t.TempDir(), "CEREUS_CLUSTER_SD_ETCD_ENDPOINTS=", "CEREUS_CLUSTER_SD_ETCD_PREFIX=",
		"CEREUS_CLUSTER_SD_ETCD_USER=", "CEREUS_CLUSTER_SD_ETCD_PASS=", "CEREUS_CLUSTER_SD_ETCD_TLS_CA=", "CEREUS_CLUSTER_SD_ETCD_TLS_CERT=",
		"CEREUS_CLUSTER_SD_ETCD_TLS_KEY=", "CEREUS_CLUSTER_SD_ETCD_TLS_SERVERNAME=")
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	return p
}

// run runs the program with text as its input to the end and returns the exit code.
func run(t *testing.T, input string, args ...string) (*process, int) {
	t.Helper()
	p := command(t, args...)
	p.cmd.Stdin = strings.NewReader(input)
	require.NoError(t, p.cmd.Start())
	return p, p.wait()
}

func begin(t *testing.T, args ...string) *process {
	t.Helper()
	p := command(t, args...)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

func (p *process) wait() int {
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

// interrupt is Ctrl-C; it returns the exit code.
func (p *process) interrupt() int {
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGINT))
	return p.wait()
}

func (p *process) prints(text string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return strings.Contains(p.out.String(), text) }, long, 5*time.Millisecond,
		"waiting for %q\nstdout: %s\nstderr: %s", text, &p.out, &p.err)
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]struct {
		code        int
		out, failed string
	}{
		"":                         {0, "To look into a cluster and run it:", ""},
		"--help":                   {0, "cereus repl tcp://", ""},
		"--version":                {0, "cereus ", ""},
		"version":                  {0, "cereus ", ""},
		"dev --help":               {0, "--etcd-port", ""},
		"repl --help":              {0, "request ROUTE", ""},
		"servers --help":           {0, "--watch", ""},
		"edit --help":              {0, "--if-revision N", ""},
		"leader --help":            {0, "--auto", ""},
		"serverz":                  {2, "", "did you mean servers?"},
		"--nonsense":               {2, "", "cereus --help"},
		"servers --nonsense":       {2, "", "cereus servers --help"},
		"servers extra":            {2, "", "\"extra\" is too much: use 'cereus servers [flags]'"},
		"servers --user u":         {2, "", "--pass-file"},
		"servers --timeout 0s":     {2, "", "--timeout"},
		"dev --etcd-port 70000":    {2, "", "between 0 and 65535"},
		"dev --etcd-port x":        {2, "", "invalid argument"},
		"repl a b":                 {2, "", "\"b\" is too much"},
		"repl --user [1] a":        {2, "", "JSON object"},
		"repl --ca /nowhere.pem a": {1, "", "/nowhere.pem"},
		"repl localhost":           {1, "", "host:port, such as localhost:3250"},
		"repl 127.0.0.1:1":         {1, "", "refused"},
		"servers --endpoints 127.0.0.1:1 --timeout 200ms":    {1, "", "--endpoints"},
		"servers --user u --pass-file /nowhere --timeout 1s": {1, "", "/nowhere"},
		"servers --cert c.pem":                               {2, "", "--cert and --key go together"},
		"servers --ca /nowhere --timeout 1s":                 {1, "", "tls ca: open /nowhere"},
		"servers --ca a --endpoints http://a:1":              {2, "", "http:// is not encrypted"},
		"servers --type a/b":                                 {2, "", "--type \"a/b\" is none"},
		"edit":                                               {2, "", "something is missing: use 'cereus edit ID [flags]'"},
		"edit a":                                             {2, "", "nothing to change: use --state"},
		"edit a --state gone":                                {2, "", "use up, busy, draining or paused"},
		"edit a --state=":                                    {2, "", "use up, busy, draining or paused"},
		"edit a --weight x":                                  {2, "", "invalid argument"},
		"edit a --weight 10001":                              {2, "", "use 0 to 10000"},
		"edit a --weight -1":                                 {2, "", "use 0 to 10000"},
		"edit a --set x":                                     {2, "", "use key=value"},
		"edit a --set =x":                                    {2, "", "use key=value"},
		"edit a --set x=1 --set x=2":                         {2, "", "names the key \"x\" twice"},
		"edit a --set x=1 --unset x":                         {2, "", "both name the key \"x\""},
		"edit a --unset=":                                    {2, "", "--unset needs a key"},
		"edit a --weight 1 --if-revision 0":                  {2, "", "revisions are above 0"},
		"edit a --if-revision 5":                             {2, "", "nothing to change"},
		"edit a --weight 1 --cert c.pem":                     {2, "", "--cert and --key go together"},
		"edit a --weight 1 --endpoints 127.0.0.1:1 --timeout 200ms": {1, "", "--endpoints"},
		"leader":                 {2, "", "something is missing: use 'cereus leader TYPE [ID | --auto] [flags]'"},
		"leader room r-1 --auto": {2, "", "do not go together"},
		"leader room --endpoints 127.0.0.1:1 --timeout 200ms": {1, "", "--endpoints"},
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			p, code := run(t, "", strings.Fields(line)...)
			require.Equal(t, want.code, code, "%s%s", &p.out, &p.err)
			require.Contains(t, p.out.String(), want.out)
			require.Contains(t, p.err.String(), want.failed)
			if want.code != 0 {
				require.Empty(t, p.out.String())
			}
			require.NotContains(t, p.err.String(), "goroutine ")
		})
	}
}
