package cluster

import clock "time"

func wait() {
	clock.Sleep(1) // want: time.Sleep: wait for a condition, or select with the context
	_ = clock.Now()
}
