package cluster

import (
	_ "example.test/bad/errs"

	_ "go.etcd.io/etcd/server/v3/embed"
)
