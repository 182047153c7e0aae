package config_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/config"
)

func TestDocumentIsUpToDate(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/configuration.md")
	require.NoError(t, err)
	require.Equal(t, config.Document(), string(page), "docs/configuration.md is not what the package says: run go generate ./config")
}

func TestEverySettingIsDocumented(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(config.Document()) {
		cells := strings.Split(strings.Trim(line, "|\n "), " | ")
		if len(cells) == 5 && strings.HasPrefix(cells[0], "`") {
			for _, cell := range cells {
				require.NotEmpty(t, strings.TrimSpace(cell), line)
			}
		}
	}
}
