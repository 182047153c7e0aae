package cluster

import "time"

func inTest() {
	f := time.Sleep // want: time.Sleep: wait for a condition, or select with the context
	f(1)
}
