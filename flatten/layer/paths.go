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

// paths are those of a layer so far, and what each is. They are kept as
// digests, so that long names take no more memory than short.
type paths map[[16]byte]pathKind

type pathKind byte

const (
	aFile     pathKind = iota + 1 // or a link: no directory
	impliedBy                     // a directory without an entry, so far, by what lies in it
	directory                     // with an entry
)

func digestOf(name string) [16]byte {
	sum := sha256.Sum256([]byte(name))
	return [16]byte(sum[:16])
}

// hasFile reports whether the path is there and no directory.
func (p paths) hasFile(name string) bool { return p[digestOf(name)] == aFile }

// addDir enters the entry of a directory, and reports whether it is the second.
func (p paths) addDir(name string) (again bool) {
	key := digestOf(name)
	again = p[key] == directory
	p[key] = directory
	return again
}

// add enters an entry at or below dir, and the directories between. It is an
// error if the path is there, unless both are directories, or if it lies below
// what is none. Again reports that it is a directory with an entry before.
func (p paths) add(name, dir string, isDir bool) (again bool, err error) {
	key, is := digestOf(name), aFile
	if isDir {
		is = directory
	}
	was := p[key]
	if was == aFile || was != 0 && !isDir {
		return false, fmt.Errorf("%s is there twice", name)
	}
	p[key] = is
	for below := name; below != dir; {
		parent := path.Dir(below)
		key := digestOf(parent)
		switch p[key] {
		case impliedBy, directory:
			return was == directory, nil
		case aFile:
			return false, fmt.Errorf("%s lies below %s, which is no directory", name, parent)
		}
		p[key], below = impliedBy, parent
	}
	return was == directory, nil
}
