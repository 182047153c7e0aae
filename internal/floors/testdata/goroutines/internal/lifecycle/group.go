package lifecycle

func start() { go start() }
