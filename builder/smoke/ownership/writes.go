package ownership

import (
	"path"
	"strings"
)

// Write is a change of one buildpack to a file or directory of another.
type Write struct {
	// Buildpack and Owner are ids; Owner can be [Lifecycle].
	Buildpack string `json:"buildpack"`
	Owner     string `json:"owner"`
	// Layer is the layer, or "" for a file of the owner that is none's, such as launch.toml.
	Layer string `json:"layer,omitempty"`
	// Path is absolute, in the build. What is in a directory that was added or removed is not listed.
	Path   string `json:"path"`
	Change Change `json:"change"`
}

// Change is what became of a file or directory.
type Change string

// What is changed has other content, another mode or another type. What is touched differs only in its
// times, its inode or its number of links; so does a directory in which a file came and went.
const (
	Added   Change = "added"
	Removed Change = "removed"
	Changed Change = "changed"
	Touched Change = "touched"
)

// compare finds what differs between two looks at a directory.
type compare struct {
	reading *reading
	found   func(path string, c Change)
}

// children compares the entries of two directories, and reports whether one was added, removed or
// replaced: then the directory's own time says nothing more.
func (c compare) children(at string, was, is *node) (moved bool) {
	for name, before := range was.children {
		after := is.children[name]
		switch {
		case after == nil:
			c.found(path.Join(at, name), Removed)
			moved = true
		default:
			c.entry(path.Join(at, name), before, after)
			moved = moved || before.ino != after.ino || !after.isDir() && before.facts != after.facts
		}
	}
	for name := range is.children {
		if was.children[name] == nil {
			c.found(path.Join(at, name), Added)
			moved = true
		}
	}
	return moved
}

func (c compare) entry(at string, was, is *node) {
	switch {
	case was.mode != is.mode: // the type is in it
		c.found(at, Changed)
		if !was.isDir() || !is.isDir() {
			return
		}
		c.children(at, was, is)
	case is.isDir():
		if moved := c.children(at, was, is); was.ino != is.ino || was.mtime != is.mtime && !moved {
			c.found(at, Touched)
		}
	case was.facts == is.facts && was.target == is.target:
	case was.size != is.size || was.target != is.target || is.isRegular() && !c.reading.same(at, was, is):
		c.found(at, Changed)
	default:
		c.found(at, Touched)
	}
}

// layerOf returns the layer to which a path below a directory of an owner belongs, or "".
func layerOf(owner, below string) string {
	if lifecycleDir(owner) {
		return owner
	}
	first, rest, _ := strings.Cut(below, "/")
	if rest != "" {
		return first
	}
	switch first {
	case "launch.toml", "build.toml", "store.toml", "persistent_metadata.toml":
		return ""
	}
	name := strings.TrimSuffix(strings.TrimSuffix(first, ".toml"), ".sha")
	for _, format := range []string{".sbom.cdx.json", ".sbom.spdx.json", ".sbom.syft.json"} {
		name = strings.TrimSuffix(name, format)
	}
	if name != first && (name == "launch" || name == "build") {
		return "" // a bill of materials of no layer
	}
	return name
}
