// Package pipeline is middleware around handlers, remotes and outgoing calls.
//
// A [Middleware] wraps a [Handler] in another one. [Chain] makes one Middleware
// of many, once, when the app starts; a call then costs a function call per
// layer. The first of a chain is the outermost:
//
//	Chain(a, b, c)(handler)
//
//	          ┌─────────────────── a ───────────────────┐
//	          │        ┌────────── b ──────────┐        │
//	          │        │      ┌─── c ───┐      │        │
//	  in  ──> │ before │ ──>  │ handler │  ──> │ after  │ ──>  out, err
//	          │        │      └─────────┘      │        │
//	          │        └───────────────────────┘        │
//	          └─────────────────────────────────────────┘
//
// A middleware may change the context, the argument, the reply and the error,
// and may answer without calling what it wraps. Around an outgoing call the
// handler is the call itself, with all its retries.
package pipeline
