package cluster

import (
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// explained adds to an answer that etcd will give until somebody does something
// what that is.
func explained(err error) error {
	switch {
	case errors.Is(rpctypes.Error(err), rpctypes.ErrNoSpace):
		return fmt.Errorf("etcd has no space left for its data; compact and defragment it, or raise --quota-backend-bytes, "+
			"then disarm its alarm (etcdctl alarm disarm): %w", err)
	case hopeless(err):
		return fmt.Errorf("etcd refuses this server, check user and password: %w", err)
	}
	return err
}
