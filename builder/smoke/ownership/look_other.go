//go:build !linux

package ownership

import "errors"

type facts struct {
	ino         uint64
	mode        uint32
	size, mtime int64
}

type node struct {
	facts
	target   string
	children map[string]*node
}

func (*node) isDir() bool     { return false }
func (*node) isRegular() bool { return false }

type reading struct{}

func open(string) (*reading, error) {
	return nil, errors.New("layers: unsupported operating system; it needs Linux")
}

func (*reading) close()                         {}
func (*reading) look(*node) (*node, error)      { return nil, nil }
func (*reading) read(string, *node)             {}
func (*reading) same(string, *node, *node) bool { return false }

// Group returns an error: there is no build.
func (*Turns) Group() ([]string, error) {
	return nil, errors.New("layers: unsupported operating system; it needs Linux")
}
