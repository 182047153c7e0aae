package embedded

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"syscall"

	"github.com/sirupsen/logrus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapBridge hands what etcd logs, from warnings up, to a logrus logger.
type zapBridge struct {
	log    logrus.FieldLogger
	fields logrus.Fields
}

var _ zapcore.Core = (*zapBridge)(nil)

// newZapLogger never ends the process: what etcd calls fatal becomes a panic.
func newZapLogger(log logrus.FieldLogger) *zap.Logger {
	return zap.New(&zapBridge{log: log}, zap.WithFatalHook(zapcore.WriteThenPanic))
}

// Enabled is part of zapcore.Core.
func (b *zapBridge) Enabled(l zapcore.Level) bool { return l >= zapcore.WarnLevel }

// With is part of zapcore.Core.
func (b *zapBridge) With(fields []zapcore.Field) zapcore.Core {
	return &zapBridge{log: b.log, fields: b.merge(fields)}
}

// Check is part of zapcore.Core.
func (b *zapBridge) Check(e zapcore.Entry, c *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if b.Enabled(e.Level) {
		return c.AddCore(e, b)
	}
	return c
}

// Write is part of zapcore.Core.
func (b *zapBridge) Write(e zapcore.Entry, fields []zapcore.Field) error {
	entry := b.log.WithFields(b.merge(fields)).WithField("detail", e.Message)
	if e.Level == zapcore.WarnLevel {
		entry.Warn("etcd warns")
	} else {
		entry.Error("etcd reports an error")
	}
	return nil
}

// Sync is part of zapcore.Core.
func (b *zapBridge) Sync() error { return nil }

func (b *zapBridge) merge(fields []zapcore.Field) logrus.Fields {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(enc)
	}
	out := make(logrus.Fields, len(b.fields)+len(enc.Fields))
	maps.Copy(out, b.fields)
	maps.Copy(out, enc.Fields)
	return out
}

// natsLogger hands warnings and errors of a NATS node to a logrus logger and
// keeps the first fatal one: nats-server reports a port in use in no other way.
type natsLogger struct {
	log logrus.FieldLogger

	mu    sync.Mutex // guards fatal
	fatal error
	once  sync.Once
	died  chan struct{} // closed when fatal is set
}

func newNATSLogger(log logrus.FieldLogger) *natsLogger {
	return &natsLogger{log: log, died: make(chan struct{})}
}

// Noticef drops a notice.
func (l *natsLogger) Noticef(string, ...any) {}

// Debugf drops a debug line.
func (l *natsLogger) Debugf(string, ...any) {}

// Tracef drops a trace line.
func (l *natsLogger) Tracef(string, ...any) {}

// Warnf logs a warning.
func (l *natsLogger) Warnf(format string, v ...any) {
	l.log.WithField("detail", fmt.Sprintf(format, v...)).Warn("nats-server warns")
}

// Errorf logs an error.
func (l *natsLogger) Errorf(format string, v ...any) {
	l.log.WithField("detail", fmt.Sprintf(format, v...)).Error("nats-server reports an error")
}

// Fatalf keeps the first fatal error; the node is of no use after it.
func (l *natsLogger) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	err := errors.New(text)
	if strings.Contains(text, "address already in use") {
		err = fmt.Errorf("%s: %w", text, syscall.EADDRINUSE)
	}
	l.once.Do(func() {
		l.mu.Lock()
		l.fatal = err
		l.mu.Unlock()
		close(l.died)
	})
}

func (l *natsLogger) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}
