package cluster

type Server struct{} // want: exported Server has no doc comment

// Documented is.
type Documented[T any] struct{ Field int }

func New() *Server { return nil } // want: exported New has no doc comment

func (*Server) Stop() {} // want: exported Stop has no doc comment

func (d *Documented[T]) Start() {} // want: exported Start has no doc comment

// Fine is.
func (d *Documented[T]) Fine() {}

type hidden struct{}

func (hidden) Write() {}

const Limit = 1 // a comment behind it will do

const (
	// Said is documented.
	Said   = 1
	Unsaid = 2
	// want above: exported Unsaid has no doc comment
)

// A comment for the group will do.
const (
	One = 1
	Two = 2
)

// Listener has one method, and this comment speaks for it.
type Listener interface{ Hear() }

// Two has two.
type Pair interface {
	// First is documented.
	First()
	Second() // so is this
	Third()
	// want above: exported Third has no doc comment
	fourth()
}

type (
	Loose int // want: exported Loose has no doc comment
	// Tight is documented.
	Tight int
)
