//go:build linux

package sandbox

import "golang.org/x/sys/unix"

// Hint is hint, for tests.
var Hint = hint

// Execution is execution, for tests.
var Execution = execution

// Filter returns the seccomp filter of an architecture of Go.
func Filter(arch string) []unix.SockFilter { return architectures[arch].filter() }

// HasCgroup reports whether runs can have cgroups of their own.
func HasCgroup() bool { return pidsController() != "" }
