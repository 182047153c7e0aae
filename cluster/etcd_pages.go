package cluster

import (
	"context"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Sizes of a page. etcd counts keys, not bytes, and a value may have 1.5 MiB, so
// that the number of keys follows from how big those of the page before were.
// Measured with 5,000 servers of 300 bytes: beyond 1,000 keys nothing is gained.
const (
	firstPage = 100     // keys
	maxPage   = 1000    // keys
	pageBytes = 1 << 20 // to aim for
)

// pageReader reads the keys of the servers, all pages at the revision of the first.
type pageReader struct {
	kv       clientv3.KV
	from     string // the next key; "" at the end
	limit    int64  // keys of the next page
	revision int64  // 0 before the first page
}

func newPageReader(kv clientv3.KV) *pageReader {
	return &pageReader{kv: kv, from: leadersPrefix, limit: firstPage}
}

func (p *pageReader) end() bool { return p.from == "" }

func (p *pageReader) next(ctx context.Context) (*clientv3.GetResponse, error) {
	page, err := p.kv.Get(ctx, p.from, clientv3.WithRange(followedEnd),
		clientv3.WithLimit(p.limit), clientv3.WithRev(p.revision))
	if err != nil {
		return nil, err
	}
	if p.revision == 0 {
		p.revision = page.Header.Revision
	}
	p.from = ""
	if n := len(page.Kvs); page.More && n > 0 {
		p.from = string(page.Kvs[n-1].Key) + "\x00"
		p.limit = nextLimit(page.Kvs)
	}
	return page, nil
}

// nextLimit is how many keys like these make a page.
func nextLimit(pairs []*mvccpb.KeyValue) int64 {
	size := 1
	for _, pair := range pairs {
		size += len(pair.Key) + len(pair.Value)
	}
	return min(max(int64(pageBytes)*int64(len(pairs))/int64(size), 1), maxPage)
}

// rest sends all further pages, and closes to. An error it tells fail first.
func (p *pageReader) rest(ctx context.Context, to chan<- *clientv3.GetResponse, fail context.CancelCauseFunc) {
	defer close(to)
	for !p.end() {
		page, err := p.next(ctx)
		if err != nil {
			fail(err)
			return
		}
		select {
		case to <- page:
		case <-ctx.Done():
			return
		}
	}
}
