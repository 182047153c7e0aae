package group

// WithPage returns the store with pages of n members, so that tests need not
// add thousands.
func (e *EtcdStore) WithPage(n int64) *EtcdStore {
	small := *e
	small.page = n
	return &small
}
