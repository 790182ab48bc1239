package inflate

// WithoutLoop calls do while the loop in assembly is not used.
func WithoutLoop(do func()) {
	was := hasLoop
	hasLoop = false
	defer func() { hasLoop = was }()
	do()
}
