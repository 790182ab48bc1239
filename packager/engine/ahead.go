package engine

// Ahead begins to compute a value before it is needed, and returns a function that waits for it.
func Ahead[V any](compute func() (V, error)) (wait func() (V, error)) {
	var value V
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		value, err = compute()
	}()
	return func() (V, error) {
		<-done
		return value, err
	}
}
