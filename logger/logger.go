package logger

import (
	"fmt"
	"io"

	"github.com/sirupsen/logrus"
)

// Format is how a log line is written.
type Format string

// The formats of log lines. Both quote what does not belong into a line, such
// as newlines and escape characters in a uid.
const (
	Text Format = "text" // time="..." level=info msg="..." key=value, without colours
	JSON Format = "json" // one object per line
)

// timestamp has milliseconds and the zone, so that lines of servers compare.
const timestamp = "2006-01-02T15:04:05.000Z07:00"

// New returns a logger that writes lines of at least a level ("trace",
// "debug", "info", "warn", "error"; "" is "info") to w.
func New(w io.Writer, level string, format Format) (*logrus.Logger, error) {
	if level == "" {
		level = logrus.InfoLevel.String()
	}
	parsed, err := logrus.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("logger: level %q: use trace, debug, info, warn or error", level)
	}
	log := logrus.New()
	log.SetOutput(w)
	log.SetLevel(parsed)
	switch format {
	case Text, "":
		log.SetFormatter(&logrus.TextFormatter{DisableColors: true, FullTimestamp: true, TimestampFormat: timestamp})
	case JSON:
		log.SetFormatter(&logrus.JSONFormatter{TimestampFormat: timestamp})
	default:
		return nil, fmt.Errorf("logger: format %q: use %s or %s", format, Text, JSON)
	}
	return log, nil
}

// Discard returns a logger that formats and writes nothing.
func Discard() logrus.FieldLogger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.SetLevel(logrus.PanicLevel)
	return log
}
