package layer

import (
	"crypto/sha256"
	"fmt"
	"path"
	"strings"
)

// maxPath is the length of the longest path in bytes: what Linux can open.
const maxPath = 4095

// maxFilePath leaves room in maxPath for the directory of any ref.
const maxFilePath = maxPath - 500

// cleanName makes a name absolute and refuses those that lead upwards.
func cleanName(name string) (string, error) {
	if len(name) > maxPath {
		return "", fmt.Errorf("path %.40q... is longer than %d bytes", name, maxPath)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("path %q leads out of its buildpack", name)
		}
	}
	return path.Clean("/" + name), nil
}

// isWhiteout tells whether one of a path's components hides what layers below
// have there (OCI image spec, "Whiteouts").
func isWhiteout(name string) bool {
	return strings.HasPrefix(name, ".wh.") || strings.Contains(name, "/.wh.")
}

// paths are those of a layer so far: what is a directory, and what is not.
// They are kept as digests, so that long names take no more memory than short.
type paths map[[16]byte]bool

func digestOf(name string) [16]byte {
	sum := sha256.Sum256([]byte(name))
	return [16]byte(sum[:16])
}

// hasFile tells whether the path is there and no directory.
func (p paths) hasFile(name string) bool {
	isDir, there := p[digestOf(name)]
	return there && !isDir
}

// add enters a path at or below dir, and the directories between. It is an
// error if the path is there, unless both are directories, or if it lies below
// what is none.
func (p paths) add(name, dir string, isDir bool) error {
	key := digestOf(name)
	if wasDir, twice := p[key]; twice && !(wasDir && isDir) {
		return fmt.Errorf("%s is there twice", name)
	}
	p[key] = isDir
	for below := name; below != dir; {
		parent := path.Dir(below)
		key := digestOf(parent)
		wasDir, known := p[key]
		switch {
		case known && wasDir:
			return nil
		case known:
			return fmt.Errorf("%s lies below %s, which is no directory", name, parent)
		}
		p[key], below = true, parent
	}
	return nil
}
