package layer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
)

// Opener opens the uncompressed tar of a layer, from its beginning at each call. The caller must
// close it.
type Opener func(ctx context.Context) (io.ReadCloser, error)

// Report is the result of [Inspect].
type Report struct {
	// Pieces are the pieces of the requested refs, in the order of the layer.
	Pieces []flatten.Facts
	// NonCanonical is empty if the layer holds exactly these pieces in the form in which laminate
	// writes them, so that it can be used as it is. Otherwise it is the first difference.
	NonCanonical string
	// Duplicate is the first path with two entries, or "". Docker and podman refuse to load an
	// image with such a layer.
	Duplicate string
}

// Inspect reads a layer that holds the refs, and possibly others. It fails if one of them is
// missing, or if the layer holds entries that a buildpack cannot have.
func Inspect(ctx context.Context, kind flatten.Kind, refs []flatten.Ref, open Opener) (Report, error) {
	var i inspection
	if err := i.read(ctx, kind, refs, open); err != nil {
		return Report{}, err
	}
	return Report{Pieces: i.facts(), NonCanonical: i.nonCanonical, Duplicate: i.duplicate}, nil
}

// inspection collects what is found in a layer.
type inspection struct {
	order   []flatten.Ref
	tallies map[flatten.Ref]*tally
	flaws
}

func (i *inspection) read(ctx context.Context, kind flatten.Kind, refs []flatten.Ref, open Opener) (err error) {
	i.tallies = map[flatten.Ref]*tally{}
	i.flaws, err = readLayer(ctx, open, kind, refs, func(r flatten.Ref, again bool) (io.Writer, error) {
		if !again {
			i.order = append(i.order, r)
			i.tallies[r] = newTally()
		}
		return i.tallies[r], nil
	})
	return err
}

// facts ends the inspection and returns its pieces.
func (i *inspection) facts() []flatten.Facts {
	var pieces []flatten.Facts
	for _, r := range i.order {
		pieces = append(pieces, i.tallies[r].facts(r))
	}
	return pieces
}

func readLayer(ctx context.Context, open Opener, kind flatten.Kind, refs []flatten.Ref, begin func(flatten.Ref, bool) (io.Writer, error)) (flaws, error) {
	rc, err := open(ctx)
	if err != nil {
		return flaws{}, err
	}
	found, err := scan(ctx, rc, kind, refs, false, begin)
	return found, errors.Join(err, rc.Close())
}

// tally counts and hashes a piece.
type tally struct {
	hash   hash.Hash
	length int64
}

func newTally() *tally { return &tally{hash: sha256.New()} }

func (t *tally) Write(p []byte) (int, error) {
	t.length += int64(len(p))
	return t.hash.Write(p)
}

// facts ends the tally. The content identity includes the trailer; the length does not.
func (t *tally) facts(r flatten.Ref) flatten.Facts {
	t.hash.Write(trailer[:])
	return flatten.Facts{Ref: r, ContentID: sum(t.hash), Length: t.length}
}

func sum(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}

var trailer [trailerSize]byte

// FromLayer returns the piece of a ref that does not share its layer. Each reading of the piece
// reads the layer.
func FromLayer(kind flatten.Kind, ref flatten.Ref, source string, open Opener) Piece {
	return &lone{kind: kind, ref: ref, source: source, open: open}
}

type lone struct {
	kind   flatten.Kind
	ref    flatten.Ref
	source string
	open   Opener
}

func (l *lone) WriteEntries(ctx context.Context, w io.Writer) error {
	begin := func(flatten.Ref, bool) (io.Writer, error) { return w, nil }
	if _, err := readLayer(ctx, l.open, l.kind, []flatten.Ref{l.ref}, begin); err != nil {
		return fmt.Errorf("%s: %w", l.source, err)
	}
	return nil
}

// Measure reads a piece to learn its facts.
func Measure(ctx context.Context, m Member) (flatten.Facts, error) {
	t := newTally()
	if err := m.Piece.WriteEntries(ctx, t); err != nil {
		return flatten.Facts{}, fmt.Errorf("buildpack %s: %w", m.Ref, err)
	}
	return t.facts(m.Ref), nil
}
