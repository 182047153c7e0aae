package cluster

import (
	_ "embed"
	"errors"
	"regexp"
	"sync"
)

var counter int // want: package variable counter: pass the value, or return it from a function

var (
	table = map[string]int{} // want: package variable table: pass the value, or return it from a function
	Hook  func()             // want: package variable Hook: pass the value, or return it from a function

	a = 1 // want: package variable a: pass the value, or return it from a function
)

var errCounts = make(map[string]int) // want: package variable errCounts: pass the value, or return it from a function

// What nobody changes by nature.
var (
	ErrGone = errors.New("gone")
	errMine = wrap(ErrGone).With("k", "v")
	pattern = regexp.MustCompile(`a+`)
	buffers = sync.Pool{New: func() any { return nil }}
	others  sync.Pool
	_       error = ErrGone
)

//go:embed cluster.go
var text string

const fine = 1

func f() {
	var local int
	_ = local
}
