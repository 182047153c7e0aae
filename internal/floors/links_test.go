package floors_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// neverLinked is what no game server may contain: servers and tools that are
// for development and tests.
func neverLinked() []string {
	return []string{
		modulePath + "/embedded",
		modulePath + "/clustertest",
		modulePath + "/internal/faultproxy",
		modulePath + "/internal/browsertest",
		modulePath + "/internal/childtest",
		modulePath + "/internal/wirevectors",
		"go.etcd.io/etcd/server",
		"github.com/nats-io/nats-server",
		"github.com/chromedp",
		"github.com/stretchr/testify",
		"testing",
	}
}

// testTools are packages below the top floor that only tests import.
func testTools() []string {
	return []string{"internal/faultproxy", "internal/floors", "internal/browsertest", "internal/childtest", "internal/wirevectors"}
}

// TestGameServersLinkNoServers follows the imports, those of other modules
// included, of everything a game server or a client can be built from.
func TestGameServersLinkNoServers(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	graph := linkGraph(t, root)
	for pkg := range graph {
		if !partOfServers(pkg) {
			continue
		}
		if chain := reaches(graph, pkg, neverLinked()); chain != nil {
			t.Errorf("%s reaches what game servers never link: %s", pkg, strings.Join(chain, " -> "))
		}
	}
}

func partOfServers(pkg string) bool {
	if pkg == modulePath || pkg == modulePath+"/client" {
		return true
	}
	folder, ours := strings.CutPrefix(pkg, modulePath+"/")
	at, known := floorOf(folder)
	return ours && known && at < app && !slices.ContainsFunc(testTools(), func(d string) bool { return below(folder, d) })
}

// linkGraph asks the go tool who imports whom.
func linkGraph(t *testing.T, root string) map[string][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "list", "-e", "-deps", "-json=ImportPath,Imports", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	require.NoError(t, err)
	graph := make(map[string][]string)
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		err := dec.Decode(&pkg)
		if errors.Is(err, io.EOF) {
			require.NotEmpty(t, graph)
			return graph
		}
		require.NoError(t, err)
		graph[pkg.ImportPath] = pkg.Imports
	}
}

// reaches finds a way from one package to one of those listed, or below one.
func reaches(graph map[string][]string, from string, listed []string) []string {
	seen := map[string]bool{}
	var walk func(pkg string) []string
	walk = func(pkg string) []string {
		if slices.ContainsFunc(listed, func(b string) bool { return below(pkg, b) }) {
			return []string{pkg}
		}
		if seen[pkg] {
			return nil
		}
		seen[pkg] = true
		for _, next := range graph[pkg] {
			if chain := walk(next); chain != nil {
				return append([]string{pkg}, chain...)
			}
		}
		return nil
	}
	return walk(from)
}

// TestReachesFindsTheWay proves the search on a module in testdata.
func TestReachesFindsTheWay(t *testing.T) {
	t.Parallel()
	tr := load(t, "testdata/links", "example.test/bad")
	graph := make(map[string][]string)
	for _, s := range tr.files {
		pkg := strings.TrimSuffix(tr.module+"/"+s.dir, "/.")
		for _, spec := range s.ast.Imports {
			graph[pkg] = append(graph[pkg], importPath(spec))
		}
	}
	chain := reaches(graph, "example.test/bad", []string{"example.test/bad/embedded", "go.etcd.io/etcd/server"})
	require.Equal(t, "[example.test/bad example.test/bad/cluster go.etcd.io/etcd/server/v3/embed]", fmt.Sprint(chain))
	require.Nil(t, reaches(graph, "example.test/bad/errs", []string{"go.etcd.io/etcd/server"}))
}
