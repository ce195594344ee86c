package adapter

// sealed is a secret that a connection keeps. fmt prints unexported fields without calling a method of
// theirs, so the value is where no printing reaches: of a function it shows the address.
type sealed[T any] func() T

func seal[T any](value T) sealed[T] { return func() T { return value } }
