package errs

// Sentinels without a message stand for their whole code: errors.Is(err,
// ErrBusy) is true for every error with CodeBusy. Send one as it is only when
// there is nothing more helpful to say.
var (
	// ErrBadRequest matches every error that is the caller's fault.
	ErrBadRequest = New(CodeBadRequest, "")
	// ErrNotFound matches every missing handler or remote.
	ErrNotFound = New(CodeNotFound, "")
	// ErrTimeout matches every missed deadline, also ErrRequestTimeout.
	ErrTimeout = New(CodeTimeout, "")
	// ErrConflict matches calls that came twice or after a later one.
	ErrConflict = New(CodeConflict, "")
	// ErrTooLarge matches everything beyond a size limit.
	ErrTooLarge = New(CodeTooLarge, "")
	// ErrRateLimited matches everything refused because its sender sends too much.
	ErrRateLimited = New(CodeRateLimited, "")
	// ErrUnavailable matches every call that reached no server, also ErrNoServer.
	// With metadata maybe=true it may have run all the same.
	ErrUnavailable = New(CodeUnavailable, "")
	// ErrBusy matches every refusal for want of a free slot; retry later.
	ErrBusy = New(CodeBusy, "")
)

// Refusals that only servers of this framework know.
var (
	// ErrTooManyHops: a call came from too far; see constants.MaxHops.
	ErrTooManyHops = New(CodeInternal, "a call passed through more than 16 servers: routes call each other in a circle")
	// ErrCancelled: the caller cancelled the call, or gave it up, before its
	// deadline. It is the cause (context.Cause) of a handler's context that ended
	// so, and the answer of a call that was not started for that reason.
	ErrCancelled = New(CodeClosed, "the caller cancelled the call")
)

// Sentinels whose texts travel on the wire and are matched by users of Pitaya
// (wire.md 4.2); the texts must stay literal.
var (
	// ErrNoServer: discovery knows no server of the type.
	ErrNoServer = New(CodeUnavailable, "no servers available of this type")
	// ErrServerNotFound: discovery knows no server with the id.
	ErrServerNotFound = New(CodeInternal, "server not found")
	// ErrRequestTimeout: no reply to a call before its deadline.
	ErrRequestTimeout = New(CodeTimeout, "rpc client: request timeout")
	// ErrClosed: a push or response for a connection that is closed.
	ErrClosed = New(CodeClosed, "broken low-level pipe")
	// ErrSessionNotFound: the session or user is not (or no longer) here.
	ErrSessionNotFound = New(CodeInternal, "session not found")
	// ErrAlreadyBound: Bind on a session that has a uid.
	ErrAlreadyBound = New(CodeInternal, "session is already bound to an uid")
	// ErrIllegalUID: the uid is empty or holds characters that cannot travel.
	ErrIllegalUID = New(CodeInternal, "illegal uid")
	// ErrNotBound: the operation needs a bound session.
	ErrNotBound = New(CodeInternal, "you have to bind an UID to the session to do that")
	// ErrInvalidRoute: a route does not have two or three parts.
	ErrInvalidRoute = New(CodeBadRequest, "invalid route")
	// ErrEmptyRoute: a part of a route is blank.
	ErrEmptyRoute = New(CodeBadRequest, "route field can not be empty")
	// ErrNotifyRoute: a request for a handler that answers nothing.
	ErrNotifyRoute = New(CodeBadRequest, "tried to request a notify route")
	// ErrUndecodableRoute: the route of an RPC cannot be parsed; metadata route.
	ErrUndecodableRoute = New(CodeBadRequest, "cannot decode route")
	// ErrInvalidRPCType: an RPC is neither sys nor user; metadata route.
	ErrInvalidRPCType = New(CodeBadRequest, "invalid rpc type")
	// ErrRouteNotFound: no remote has the route; metadata route.
	ErrRouteNotFound = New(CodeNotFound, "route not found")
	// ErrNilReply: a handler or remote returned neither a reply nor an error.
	ErrNilReply = New(CodeInternal, "reply must not be null")
	// ErrNoContext: an RPC came without its metadata.
	ErrNoContext = New(CodeUnavailable, "no context found")
)
