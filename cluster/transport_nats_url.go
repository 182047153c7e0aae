package cluster

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// natsURLs are the configured addresses of NATS.
type natsURLs struct {
	urls []*url.URL
}

// parseNATSURLs parses a comma-separated list. Its errors never show the list,
// which may hold passwords.
func parseNATSURLs(list string) (natsURLs, error) {
	var parsed natsURLs
	for i, text := range strings.Split(list, ",") {
		text = strings.TrimSpace(text)
		if text == "" {
			return parsed, errors.New("the NATS URL is empty, or one of its parts is: write it like nats://host:4222")
		}
		if !strings.Contains(text, "://") {
			text = "nats://" + text
		}
		u, err := url.Parse(text)
		if err != nil || u.Hostname() == "" {
			return parsed, fmt.Errorf("NATS URL number %d cannot be read: write it like nats://host:4222", i+1)
		}
		parsed.urls = append(parsed.urls, u)
	}
	return parsed, nil
}

// String shows the addresses without user names, passwords and tokens.
func (n natsURLs) String() string {
	hosts := make([]string, len(n.urls))
	for i, u := range n.urls {
		hosts[i] = u.Scheme + "://" + u.Host
	}
	return strings.Join(hosts, ",")
}

// dial is the list that nats.go takes: these URLs, and those of others with the
// credentials of the first configured one, without the addresses in except.
func (n natsURLs) dial(others []string, except ...string) string {
	var list []string
	for _, u := range n.urls {
		if !slices.Contains(except, u.Host) {
			list = append(list, u.String())
		}
	}
	for _, text := range others {
		u, err := url.Parse(text)
		if err != nil || slices.Contains(except, u.Host) || n.has(u.Host) {
			continue
		}
		if u.User == nil && len(n.urls) > 0 {
			u.User = n.urls[0].User
		}
		list = append(list, u.String())
	}
	return strings.Join(list, ",")
}

func (n natsURLs) has(host string) bool {
	return slices.ContainsFunc(n.urls, func(u *url.URL) bool { return u.Host == host })
}

// redact makes the text of err safe to show; err itself stays behind it.
func (n natsURLs) redact(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, u := range n.urls {
		if u.User == nil {
			continue
		}
		text = strings.ReplaceAll(text, u.User.String()+"@", "")
		password, _ := u.User.Password()
		for _, secret := range []string{password, u.User.Username()} {
			if secret != "" {
				text = strings.ReplaceAll(text, secret, "xxxxx")
			}
		}
	}
	if text == err.Error() {
		return err
	}
	return &redactedError{text: text, cause: err}
}

// redactedError is an error without its secrets: they are in the text of its
// cause, which errors.Is and errors.As find.
type redactedError struct {
	text  string
	cause error
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.cause }
