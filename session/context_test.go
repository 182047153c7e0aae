package session_test

import (
	"sync"
	"testing"

	"github.com/cereus-game/cereus/session"
)

// TestContextOfAClosedSession is done whoever asks, and when.
func TestContextOfAClosedSession(t *testing.T) {
	t.Parallel()
	for range 5_000 {
		s := open(t, session.Params{ID: 1})
		s.Close("over")
		var asking sync.WaitGroup
		for range 2 {
			asking.Go(func() {
				if s.Context().Err() == nil {
					t.Error("it is not done")
				}
			})
		}
		asking.Wait()
	}
}
