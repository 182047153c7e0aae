package logger_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/logger"
)

func TestNewFormats(t *testing.T) {
	t.Parallel()
	for _, format := range []logger.Format{"", logger.Text, logger.JSON} {
		var out bytes.Buffer
		log, err := logger.New(&out, "", format)
		require.NoError(t, err)
		log.WithField("uid", "x").Info("player bound")
		log.Debug("below the level")
		require.Equal(t, 1, strings.Count(out.String(), "\n"))
		require.Contains(t, out.String(), "player bound")
		require.Equal(t, format == logger.JSON, json.Valid(out.Bytes()))
	}
}

func TestS28_ControlCharactersAreQuoted(t *testing.T) {
	t.Parallel()
	for _, format := range []logger.Format{logger.Text, logger.JSON} {
		var out bytes.Buffer
		log, err := logger.New(&out, "debug", format)
		require.NoError(t, err)
		log.WithField("uid", "a\nlevel=error msg=forged\x1b[31m\r\x00").Debug("player bound")
		require.Equal(t, 1, strings.Count(out.String(), "\n"), "one line")
		require.NotContains(t, strings.TrimSuffix(out.String(), "\n"), "\x1b")
		require.NotContains(t, out.String(), "\r")
		require.NotContains(t, out.String(), "\x00")
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	_, err := logger.New(&bytes.Buffer{}, "loud", logger.Text)
	require.ErrorContains(t, err, "use trace, debug, info, warn or error")
	_, err = logger.New(&bytes.Buffer{}, "info", "xml")
	require.ErrorContains(t, err, "use text or json")
}

func TestDiscardFormatsNothing(t *testing.T) {
	t.Parallel()
	log := logger.Discard()
	log.WithField("uid", unprintable{t}).Error("nobody hears this")
}

type unprintable struct{ t *testing.T }

func (u unprintable) String() string {
	u.t.Error("was formatted")
	return ""
}
