package cluster

import (
	"io"

	"example.test/bad/route"
)

type Six interface { // want: interface Six has 6 methods, more than 5
	A()
	B()
	C()
	D()
	E()
	F()
}

type Five interface {
	A()
	B()
	C()
	D()
	io.Closer
}

type Union interface { // want: interface Union has 6 methods, more than 5
	Five
	G()
}

type Far interface { // want: interface Far has 7 methods, more than 5
	route.Five
	A()
	B()
}

type number interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8
}

func f(x interface { // want: interface  has 6 methods, more than 5
	A()
	B()
	C()
	D()
	E()
	F()
}) {
}
