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

// cleanName returns the name as a clean absolute path. It refuses names with "..".
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

// isWhiteout reports whether a component of the path is a whiteout (OCI image spec, "Whiteouts").
func isWhiteout(name string) bool {
	return strings.HasPrefix(name, ".wh.") || strings.Contains(name, "/.wh.")
}

// paths are the paths of a layer so far, and their kinds. The keys are digests, so that long names
// need no more memory than short ones.
type paths map[[16]byte]pathKind

type pathKind byte

const (
	aFile     pathKind = iota + 1 // or a link
	impliedBy                     // a directory without an entry of its own so far
	directory                     // with an entry
)

func digestOf(name string) [16]byte {
	sum := sha256.Sum256([]byte(name))
	return [16]byte(sum[:16])
}

// hasFile reports whether the path exists and is not a directory.
func (p paths) hasFile(name string) bool { return p[digestOf(name)] == aFile }

// addDir adds the entry of a directory, and reports whether it is a duplicate.
func (p paths) addDir(name string) (again bool) {
	key := digestOf(name)
	again = p[key] == directory
	p[key] = directory
	return again
}

// add adds an entry at or below dir, and the directories between. It fails if the path exists,
// unless both are directories, or if a parent is not a directory. Again reports that the directory
// already had an entry.
func (p paths) add(name, dir string, isDir bool) (again bool, err error) {
	key, is := digestOf(name), aFile
	if isDir {
		is = directory
	}
	was := p[key]
	if was == aFile || was != 0 && !isDir {
		return false, fmt.Errorf("duplicate path %s", name)
	}
	p[key] = is
	for below := name; below != dir; {
		parent := path.Dir(below)
		key := digestOf(parent)
		switch p[key] {
		case impliedBy, directory:
			return was == directory, nil
		case aFile:
			return false, fmt.Errorf("%s is below %s, which is not a directory", name, parent)
		}
		p[key], below = impliedBy, parent
	}
	return was == directory, nil
}
