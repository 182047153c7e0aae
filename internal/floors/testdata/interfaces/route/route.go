package route

type Five interface {
	A()
	B()
	C()
	D()
	E()
}
