package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"

	"laminate/flatten"
)

// Every piece begins with the entry of its id directory, but a layer must not have duplicate paths:
// Docker and podman keep the headers of every layer (tar-split), and refuse such layers. So of the
// pieces that share an id directory, which are next to each other in a layer, only the first has
// the entry there; the others are stored without it, and get it back when the layer is split.

// follows reports whether the piece at i comes after one with which it shares
// the id directory.
func follows(pieces []flatten.Facts, i int) bool {
	return i > 0 && i < len(pieces) && pieces[i].Ref.SharesIDDir(pieces[i-1].Ref)
}

// idEntry removes the entry of the id directory from the front of a piece.
type idEntry struct {
	dir   string
	head  []byte // what was read of the entry so far
	whole bool
	err   error
}

// take consumes the part of p that belongs to the entry, and returns the rest.
func (e *idEntry) take(p []byte) (rest []byte, err error) {
	if e.whole {
		return p, nil
	}
	if e.err == nil {
		rest, e.err = e.read(p)
	}
	return rest, e.err
}

func (e *idEntry) read(p []byte) (rest []byte, err error) {
	e.head = append(e.head, p...)
	r := bytes.NewReader(e.head)
	h, err := tar.NewReader(r).Next()
	switch short := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF); {
	case short && len(e.head) <= maxHead:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading the entry of %s: %w", e.dir, err)
	}
	if name, err := cleanName(h.Name); err != nil || name != e.dir || h.Typeflag != tar.TypeDir {
		return nil, fmt.Errorf("it begins with %q, not with directory %s", h.Name, e.dir)
	}
	e.whole = true
	n := len(e.head) - r.Len()
	e.head, rest = e.head[:n:n], e.head[n:]
	return rest, nil
}

// writeWithout writes a piece to w, without the entry of its id directory.
func (e *idEntry) writeWithout(w io.Writer, writeEntries func(io.Writer) error) error {
	err := writeEntries(writerFunc(func(p []byte) (int, error) {
		rest, err := e.take(p)
		if err == nil && len(rest) > 0 {
			_, err = w.Write(rest)
		}
		if err != nil {
			return 0, err
		}
		return len(p), nil
	}))
	if err == nil && !e.whole {
		err = fmt.Errorf("missing entry for %s", e.dir)
	}
	return err
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
