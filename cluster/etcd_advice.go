package cluster

import (
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// explained adds to an answer of etcd that it will give until somebody does
// something what that is.
func explained(err error) error {
	if errors.Is(rpctypes.Error(err), rpctypes.ErrNoSpace) {
		return fmt.Errorf("etcd has no space left for its data; compact and defragment it, or raise --quota-backend-bytes, "+
			"then disarm its alarm (etcdctl alarm disarm): %w", err)
	}
	return err
}
