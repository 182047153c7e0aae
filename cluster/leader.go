package cluster

// Leader is the server of a type that does what only one of them may do.
type Leader struct {
	Type, ID string
	// Token is the fencing token: it rises with each change of the type's leader, so
	// that what a former one still writes can be told and refused.
	Token int64
	// ByHand: it was chosen by an operator, not by its age.
	ByHand bool
}
