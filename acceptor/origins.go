package acceptor

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/gobwas/ws"
)

// originRules are the web pages that may connect; nil lets all in.
type originRules struct {
	exact    map[string]struct{}
	suffixes []originSuffix
}

// originSuffix is a rule with a star: scheme and the end of the host.
type originSuffix struct{ scheme, host string }

func newOriginRules(origins []string) (*originRules, error) {
	r := &originRules{exact: make(map[string]struct{}, len(origins))}
	var faults []error
	for _, o := range origins {
		u, err := url.Parse(strings.ToLower(o))
		if err != nil || u.Scheme == "" || u.Host == "" || strings.TrimSuffix(u.Path, "/") != "" {
			faults = append(faults, fmt.Errorf("acceptor: origin %q must look like https://host or https://*.host", o))
			continue
		}
		if rest, ok := strings.CutPrefix(u.Host, "*."); ok {
			r.suffixes = append(r.suffixes, originSuffix{scheme: u.Scheme, host: "." + rest})
			continue
		}
		r.exact[u.Scheme+"://"+u.Host] = struct{}{}
	}
	return r, errors.Join(faults...)
}

func (r *originRules) allow(origin string) bool {
	origin = strings.ToLower(origin)
	if _, ok := r.exact[origin]; ok {
		return true
	}
	scheme, host, _ := strings.Cut(origin, "://")
	for _, s := range r.suffixes {
		if s.scheme == scheme && strings.HasSuffix(host, s.host) && len(host) > len(s.host) {
			return true
		}
	}
	return false
}

// check looks at one header of an upgrade request. upgrade knows its refusal by
// the status 403.
func (r *originRules) check(key, value []byte) error {
	if r == nil || !strings.EqualFold(string(key), "Origin") || r.allow(strings.TrimSpace(string(value))) {
		return nil
	}
	return ws.RejectConnectionError(ws.RejectionStatus(http.StatusForbidden), ws.RejectionReason("origin not allowed"))
}
