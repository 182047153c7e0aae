package cluster

func start() {
	go start() // want: a bare go statement: use lifecycle.Group.Go, whose owner waits for it
	func() {
		go start() // want: a bare go statement: use lifecycle.Group.Go, whose owner waits for it
	}()
}
