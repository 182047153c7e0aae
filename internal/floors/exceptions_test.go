package floors_test

import (
	"maps"
	"slices"
)

// variableExceptions lists package variables as path:name, with the reason.
func variableExceptions() map[string]string {
	return map[string]string{
		"acceptor/tls_link_unix.go:errWouldBlock": "a sentinel error of a type of its own, as crypto/tls asks for one that is temporary",
		"client/clock.go:epoch":                   "the zero of a monotonic clock, set once",
		"internal/loopback/port.go:drawn":         "the ports of a process are drawn once each, whoever draws",
		"internal/dispatch/call.go:over":          "a context that ended before anybody saw it; nothing can change it",
	}
}

// interfaceExceptions lists larger interfaces as path:name, with the reason.
func interfaceExceptions() map[string]string {
	return map[string]string{
		"internal/dispatch/dispatcher.go:Client": "the union of caller and pusher, which dispatch takes from one client; its parts use one of the two",

		"group/store.go:Store": "the union of two interfaces, for those who implement both; users take one of the two",
	}
}

// sleepExceptions lists files that may sleep, with the reason.
func sleepExceptions() map[string]string {
	return map[string]string{}
}

func excepted(list map[string]string, key string) bool { return list[key] != "" }

// unusedExceptions finds exceptions for what is not there any more.
func unusedExceptions(tr *tree) []string {
	there := make(map[string]bool)
	for _, s := range tr.files {
		there[s.path] = true
		eachVariableName(s, func(name string) { there[s.path+":"+name] = true })
	}
	for key, d := range interfaces(tr) {
		there[d.file.path+":"+key[len(d.file.dir)+1:]] = true
	}
	var out []string
	for _, list := range []map[string]string{variableExceptions(), interfaceExceptions(), sleepExceptions()} {
		for _, key := range slices.Sorted(maps.Keys(list)) {
			if !there[key] {
				out = append(out, "remove the exception for "+key+": it is gone")
			}
		}
	}
	return out
}
