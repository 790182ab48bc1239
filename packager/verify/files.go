package verify

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
)

// mostPaths is how many differing files of a module are named.
const mostPaths = 3

// entry is what counts of a file: type, mode, target of a link, content.
type entry struct {
	what    byte
	mode    int64
	link    string
	content [sha256.Size]byte
	implied bool // a directory without an entry
}

// differing returns the first differing files of a module, with the reasons, and the number of the
// others.
func differing(ctx context.Context, m module, a, b part) (paths []string, more int, err error) {
	mine, err := filesOf(ctx, m, a)
	if err != nil {
		return nil, 0, err
	}
	other, err := filesOf(ctx, m, b)
	if err != nil {
		return nil, 0, err
	}
	all := slices.Collect(maps.Keys(mine))
	for name := range other {
		if _, is := mine[name]; !is {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	for _, name := range all {
		why := differ(mine, other, name)
		switch {
		case why == "":
		case len(paths) == mostPaths:
			more++
		default:
			paths = append(paths, fmt.Sprintf("%.200s (%s)", name, why))
		}
	}
	return paths, more, nil
}

// differ returns how a path differs, or "".
func differ(a, b map[string]entry, name string) string {
	x, hasX := a[name]
	y, hasY := b[name]
	switch {
	case !hasY:
		return "missing there"
	case !hasX:
		return "only there"
	case x.what != y.what:
		return "another type"
	case x.link != y.link:
		return "another link"
	case x.content != y.content:
		return "content"
	case x.mode != y.mode && !x.implied && !y.implied:
		return fmt.Sprintf("mode %o, there %o", x.mode, y.mode)
	}
	return ""
}

// filesOf reads the files of a module, by path below its directory. A hard link counts as the file
// that it links to.
func filesOf(ctx context.Context, m module, p part) (map[string]entry, error) {
	r, w := io.Pipe()
	go func() { w.CloseWithError(p.Piece.WriteEntries(ctx, w)) }()
	defer r.Close()
	files := map[string]entry{}
	dir := m.dir()
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		name, is := below(h.Name, dir)
		if !is {
			continue // the directory of the id
		}
		e := entry{what: h.Typeflag, mode: h.Mode & 0o7777}
		switch h.Typeflag {
		case tar.TypeReg:
			sum := sha256.New()
			if _, err := io.Copy(sum, tr); err != nil {
				return nil, err
			}
			sum.Sum(e.content[:0])
		case tar.TypeSymlink:
			e.link, e.mode = h.Linkname, 0
		case tar.TypeLink:
			target, _ := below(h.Linkname, dir)
			e = files[target]
		}
		files[name] = e
		for parent := path.Dir(name); parent != "." && parent != "/"; parent = path.Dir(parent) {
			if _, is := files[parent]; is {
				break
			}
			files[parent] = entry{what: tar.TypeDir, implied: true}
		}
	}
}

// below returns a path relative to the directory of a module; "." is the directory itself.
func below(name, dir string) (string, bool) {
	name = path.Clean("/" + name)
	if name == dir {
		return ".", true
	}
	return strings.CutPrefix(name, dir+"/")
}
