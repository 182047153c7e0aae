package acceptor

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// certificateFiles serves the newest certificate of two files.
type certificateFiles struct {
	certificate, key string
	log              logrus.FieldLogger

	mu     sync.Mutex // guards the fields below
	loaded *tls.Certificate
	stamp  [2]fileStamp // of the files when they were last tried
}

// fileStamp tells a file's versions apart.
type fileStamp struct {
	changed time.Time
	size    int64
}

// load reads the files for the first time.
func (f *certificateFiles) load(log logrus.FieldLogger) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = log
	return f.reload(f.stamps())
}

// latest is the GetCertificate of tls.Config.
func (f *certificateFiles) latest(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	now := f.stamps()
	f.mu.Lock()
	defer f.mu.Unlock()
	if now != f.stamp {
		if err := f.reload(now); err != nil {
			f.log.WithError(err).Warn("certificate not reloaded, the one before stays in use")
		} else {
			f.log.Info("certificate reloaded")
		}
	}
	return f.loaded, nil
}

// reload reads the files. A pair that fails is not tried again until a file
// changes once more.
func (f *certificateFiles) reload(now [2]fileStamp) error {
	f.stamp = now
	pair, err := tls.LoadX509KeyPair(f.certificate, f.key)
	if err != nil {
		return fmt.Errorf("acceptor: certificate %s, key %s: %w", f.certificate, f.key, err)
	}
	f.loaded = &pair
	return nil
}

func (f *certificateFiles) stamps() (s [2]fileStamp) {
	for i, name := range []string{f.certificate, f.key} {
		if info, err := os.Stat(name); err == nil {
			s[i] = fileStamp{changed: info.ModTime(), size: info.Size()}
		}
	}
	return s
}
