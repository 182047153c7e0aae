package cluster

type sleeper struct{}

func (sleeper) Sleep() {}

func nap(time sleeper) { time.Sleep() }
