// Package admin serves health, readiness, metrics and profiles of an app over
// HTTP, on an address that is off by default and meant for operators only.
//
//	/healthz       200 while the process serves at all: "ok", or "degraded" and a line for each fault
//	/readyz        200 and [], or 503 and what is not ready and why
//	/metrics       Prometheus
//	/debug/pprof/  profiles, when asked for
//
// # Discovery API
//
// With a token (config key admin.token) it also serves who is in the cluster, as
// the app's service discovery sees it. Every request carries the token:
//
//	curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:9090/v1/services
//
// Nothing here is encrypted: beyond this machine, put a proxy with TLS before it.
// Health, metrics and profiles ask for no token.
//
// The routes:
//
//	GET    /v1/services                        the types: how many servers, how many of them may be given work, the leader
//	GET    /v1/services/{type}                 one of them and its servers
//	GET    /v1/services/{type}/instances/{id}  one server, with the revision of its key as its ETag
//	PATCH  /v1/services/{type}/instances/{id}  change its state, weight and metadata
//	GET    /v1/services/{type}/leader          who leads
//	PUT    /v1/services/{type}/leader          have another one lead: {"id":"..."}
//	DELETE /v1/services/{type}/leader          have the one lead that is registered for the longest time
//	GET    /v1/events                          changes as they happen; ?type=room for those of one type
//
// Answers are JSON; their field revision, and the header X-Cereus-Revision, is the
// revision of etcd that they are of. A GET while etcd is away is answered with what
// was last known, with the field "stale": true and the header X-Cereus-Stale: 1;
// neither is there otherwise. What is refused has a field error that says
// what to do: 400 and 415 for a request that is not right, 401 without the token,
// 404 for who is not in the cluster, 405 for another method, 409 for a server that
// cannot be asked for that (a Pitaya server), 412 for one that was changed since
// If-Match, 413 for more than 64 KiB, 502 when etcd refuses, 503 when service
// discovery does not run, and 504 when there was no answer in time.
//
// # Changing a server
//
// A PATCH is a JSON merge patch: what it does not name stays, and null deletes a
// key of the metadata. The server takes it over as its own, and everybody sees it.
//
//	curl -X PATCH -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \
//	  -d '{"state":"draining"}' http://127.0.0.1:9090/v1/services/room/instances/room-1
//	curl -X PATCH -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -H 'If-Match: "1234"' \
//	  -d '{"weight":50,"metadata":{"season":"winter","event":null}}' http://127.0.0.1:9090/v1/services/room/instances/room-1
//
// With If-Match it is made only when nobody changed the server since that ETag. The
// answer is the server after the change; the app's own view, of which a GET
// answers, may show it a moment later. A weight is 0 to 10,000, and 0 counts as 100.
//
// # Choosing a leader
//
//	curl -X PUT -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \
//	  -d '{"id":"room-2"}' http://127.0.0.1:9090/v1/services/room/leader
//
// It is answered when that server leads, which waits for the tasks of the former
// leader to end; 202 means that the change is made and is not seen yet. After a
// DELETE the leader there is hands on to the one that is registered for the longest
// time: the answer may still show it, the event follows.
//
// # Events
//
//	curl -N -H "Authorization: Bearer $TOKEN" 'http://127.0.0.1:9090/v1/events?type=room'
//
// The answer is a stream of server-sent events: "up" for every server present,
// "leader" for every leader, then "current" (stale as above), and from then on "up", "update",
// "down" and "leader" as they happen, each once and in order. Their data is the
// type, the reason, the revision, the server as it is now (of a "down" as it was
// last; of a "leader" who leads, null for nobody), for an "update" the server
// before, and for a "leader" the fencing token. A load is not part of them.
//
// A client that comes back with the header Last-Event-ID, as clients of
// server-sent events do by themselves, to the same process and for the same type,
// goes on where it was, without gap or repetition. When that cannot be done,
// because it was away for too long (8,192 events) or this is another process, it
// is told all that is present and "current" again. So a client forgets, at
// "current", every server and leader that it was not told of on this connection.
//
// A stream says something every 15 s. A reader that takes nothing for 5 s, or falls
// behind by more than 8,192 events, is cut off. There are at most 64 streams at a
// time (503 beyond that), and they end with the app.
package admin
