// Package tardiff compares two tar archives, and says what is in one. It reads each as a stream: it
// needs no more memory for a large archive than for a small one.
package tardiff

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"path"
	"strings"
)

// Change is a path that differs.
type Change struct {
	// Path is absolute.
	Path string `json:"path"`
	// Kind is Added, Removed or Changed.
	Kind Kind `json:"change"`
}

// Kind is how a path differs.
type Kind string

// A path is in the second archive only, in the first only, or in both with another content, type, mode,
// owner, time or target.
const (
	Added   Kind = "added"
	Removed Kind = "removed"
	Changed Kind = "changed"
)

// Compare calls found for each path that differs, in the archives' order. Both archives must be in the
// order in which a directory is walked, name by name; where one is not, a path may count as removed and
// as added.
func Compare(was, is io.Reader, found func(Change) error) error {
	a, b := &entries{r: tar.NewReader(was)}, &entries{r: tar.NewReader(is)}
	if err := errors.Join(a.next(), b.next()); err != nil {
		return err
	}
	for a.h != nil || b.h != nil {
		var err error
		switch {
		case b.h == nil || a.h != nil && a.key < b.key:
			err = errors.Join(found(Change{a.path, Removed}), a.next())
		case a.h == nil || b.key < a.key:
			err = errors.Join(found(Change{b.path, Added}), b.next())
		default:
			err = both(a, b, found)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// both compares the entries of one path.
func both(a, b *entries, found func(Change) error) error {
	same := a.h.Typeflag == b.h.Typeflag && a.h.Mode == b.h.Mode && a.h.Uid == b.h.Uid && a.h.Gid == b.h.Gid &&
		a.h.Size == b.h.Size && a.h.Linkname == b.h.Linkname && a.h.ModTime.Equal(b.h.ModTime)
	if same && a.h.Size > 0 {
		var err error
		if same, err = equal(a.r, b.r); err != nil {
			return err
		}
	}
	if !same {
		if err := found(Change{b.path, Changed}); err != nil {
			return err
		}
	}
	return errors.Join(a.next(), b.next())
}

// equal reports whether two readers of the same length have the same bytes. It stops at the first that
// differ.
func equal(a, b io.Reader) (bool, error) {
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(a, x)
		m, other := io.ReadFull(b, y)
		if !bytes.Equal(x[:n], y[:m]) {
			return false, nil
		}
		if ended(err) && ended(other) {
			return true, nil
		}
		if err != nil || other != nil {
			return false, errors.Join(err, other)
		}
	}
}

func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// entries are the entries of an archive, one after the other.
type entries struct {
	r         *tar.Reader
	h         *tar.Header // nil at the end
	path, key string
}

func (e *entries) next() error {
	h, err := e.r.Next()
	if errors.Is(err, io.EOF) {
		e.h = nil
		return nil
	}
	if err != nil {
		return err
	}
	e.h, e.path = h, clean(h.Name)
	e.key = strings.ReplaceAll(e.path, "/", "\x00") // what is in a directory comes before its longer namesakes
	return nil
}

func clean(name string) string { return path.Clean("/" + name) }

// Sum is the SHA-256 of a file.
type Sum [sha256.Size]byte

// Files are the files of a directory: their sums by path relative to it, with slashes.
type Files struct {
	sums  map[string]Sum
	sizes map[int64]bool
}

// Add adds a file of size bytes. Empty files do not count.
func (f *Files) Add(rel string, size int64, content io.Reader) error {
	if size == 0 {
		return nil
	}
	sum, err := sumOf(content)
	if err != nil {
		return err
	}
	if f.sums == nil {
		f.sums, f.sizes = map[string]Sum{}, map[int64]bool{}
	}
	f.sums[rel], f.sizes[size] = sum, true
	return nil
}

// Len is their number.
func (f *Files) Len() int { return len(f.sums) }

// Content says what is in an archive.
type Content struct {
	// Bytes is the size of its files.
	Bytes int64
	// Known are the known files that are in it, and KnownBytes is their size. A file is in it if it has
	// the file's content, and a path that ends with the file's.
	Known      int
	KnownBytes int64
}

// Read reads an archive.
func Read(r io.Reader, known *Files) (Content, error) {
	var c Content
	seen := map[string]bool{}
	in := &entries{r: tar.NewReader(r)}
	for {
		if err := in.next(); err != nil || in.h == nil {
			c.Known = len(seen)
			return c, err
		}
		if in.h.Typeflag != tar.TypeReg {
			continue
		}
		c.Bytes += in.h.Size
		if !known.sizes[in.h.Size] {
			continue
		}
		candidates := known.named(in.path)
		if len(candidates) == 0 {
			continue
		}
		sum, err := sumOf(in.r)
		if err != nil {
			return c, err
		}
		for _, rel := range candidates {
			if known.sums[rel] == sum {
				seen[rel] = true
				c.KnownBytes += in.h.Size
				break // the longest
			}
		}
	}
}

// named returns the files with whose path a path ends, the longest first.
func (f *Files) named(p string) (all []string) {
	for rest := strings.TrimPrefix(p, "/"); rest != ""; {
		if _, is := f.sums[rest]; is {
			all = append(all, rest)
		}
		_, after, more := strings.Cut(rest, "/")
		if !more {
			break
		}
		rest = after
	}
	return all
}

func sumOf(r io.Reader) (sum Sum, err error) {
	h := sha256.New()
	if _, err = io.Copy(h, r); err == nil {
		h.Sum(sum[:0])
	}
	return sum, err
}
