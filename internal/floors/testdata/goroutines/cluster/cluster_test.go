package cluster

func inTest() { go start() }
