package registry

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
)

func TestInstanceOf_AddressesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, joined := range []string{
		"", ",", "a b", "a,\n", "\xff", strings.Repeat("a,", MaxAddresses) + "a",
		strings.Repeat("a", MaxAddressBytes+1), strings.Repeat("a", 1<<16),
	} {
		i := instanceOf(&cluster.Server{ID: "login/1", Type: "login", Metadata: map[string]string{MetadataAddresses: joined}}, false)
		require.Empty(t, i.Addresses)
		require.Equal(t, "1", i.ID)
		require.Equal(t, joined, i.Metadata[MetadataAddresses], "it stays where it was")
	}
}

func FuzzInstanceOf(f *testing.F) {
	f.Add("10.0.0.7:80,https://login.test:443")
	f.Add("a,,b")
	f.Add("\xff\x00")
	f.Fuzz(func(t *testing.T, joined string) {
		s := &cluster.Server{ID: "login/1", Type: "login", Metadata: map[string]string{MetadataAddresses: joined, "k": "v"}}
		i := instanceOf(s, false)
		require.Equal(t, joined, s.Metadata[MetadataAddresses], "what is shared stays as it is")
		if i.Addresses == nil {
			return
		}
		again, err := i.server()
		require.NoError(t, err, "what was read can be registered")
		require.Equal(t, s.Metadata, again.Metadata)
	})
}
