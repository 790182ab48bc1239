package layer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"laminate/flatten"
)

// Shared is a layer with several pieces. It is read once, together with the first of them, and
// split into a file in WorkDir. The owner of WorkDir removes the file.
type Shared struct {
	Kind   flatten.Kind
	Refs   []flatten.Ref
	Source string // for messages
	// WorkDir is where the pieces are written.
	WorkDir string
	// Open opens the tar.
	Open Opener
	// Blob opens the blob, Compression is its compression, and Facts are the claimed facts of its
	// pieces, in order. If they are correct, and no member or frame crosses the border of a piece,
	// pieces can be spliced. All are optional, and need not be correct.
	Blob        Opener
	Within      func(content, packed int64) error // see [Splice]
	Compression Compression
	Facts       []flatten.Facts

	mu    sync.Mutex
	parts map[flatten.Ref]part
}

// part is a piece of a layer that was split.
type part struct {
	open   func() (io.ReadCloser, error) // its tar
	splice *Splice                       // nil if it cannot be spliced
}

// Piece returns the piece of a ref.
func (s *Shared) Piece(r flatten.Ref) Piece { return &sharedPiece{s, r} }

type sharedPiece struct {
	shared *Shared
	ref    flatten.Ref
}

func (p *sharedPiece) WriteEntries(ctx context.Context, w io.Writer) error {
	at, err := p.shared.part(ctx, p.ref)
	if err == nil {
		err = copyAll(ctx, w, at.open)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", p.shared.Source, err)
	}
	return nil
}

func copyAll(ctx context.Context, w io.Writer, open func() (io.ReadCloser, error)) error {
	r, err := open()
	if err != nil {
		return err
	}
	_, err = copyContext(ctx, w, r)
	return errors.Join(err, r.Close())
}

// splice implements splicer.
func (p *sharedPiece) splice(ctx context.Context) (*Splice, error) {
	at, err := p.shared.part(ctx, p.ref)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.shared.Source, err)
	}
	return at.splice, nil
}

// part splits the layer on first use. It does not remember errors: a cancelled reader must not
// spoil the layer for the next.
func (s *Shared) part(ctx context.Context, r flatten.Ref) (part, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parts != nil {
		return s.parts[r], nil
	}
	if len(s.Facts) == len(s.Refs) && s.Blob != nil && s.Compression != Uncompressed {
		parts, err := s.splitBlob(ctx)
		if ctx.Err() != nil {
			return part{}, errors.Join(err, ctx.Err())
		}
		if err == nil {
			s.parts = parts
			return parts[r], nil
		}
	}
	parts, err := s.splitTar(ctx)
	if err != nil {
		return part{}, err
	}
	s.parts = parts
	return parts[r], nil
}

// splitTar splits the uncompressed tar into a spool.
func (s *Shared) splitTar(ctx context.Context) (map[flatten.Ref]part, error) {
	spool, err := NewSpool(s.WorkDir)
	if err != nil {
		return nil, err
	}
	at := map[flatten.Ref][]Stretch{}
	var last flatten.Ref
	end := func() error {
		if last == (flatten.Ref{}) {
			return nil
		}
		stretch, err := spool.End()
		at[last] = append(at[last], stretch)
		return err
	}
	_, err = readLayer(ctx, s.Open, s.Kind, s.Refs, func(r flatten.Ref, _ bool) (io.Writer, error) {
		err := end()
		last = r
		return spool, err
	})
	if err = errors.Join(err, end(), spool.Close()); err != nil {
		return nil, err
	}
	parts := map[flatten.Ref]part{}
	for r, stretches := range at {
		parts[r] = part{open: func() (io.ReadCloser, error) { return spool.openAll(stretches) }}
	}
	return parts, nil
}

// splitBlob splits the compressed blob. It fails if Facts are not correct.
func (s *Shared) splitBlob(ctx context.Context) (parts map[flatten.Ref]part, err error) {
	if s.WorkDir == "" {
		return nil, errNoSpool
	}
	f, err := os.CreateTemp(s.WorkDir, "pieces-*")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	blob, err := s.Blob(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	var found inspection
	b := borders{kind: s.Kind, facts: s.Facts, out: f}
	packed := &remembering{r: contextReader{ctx, blob}}
	err = withCutter(s.Compression, packed, func(c cutter) error {
		b.from = &bounded{cutter: c, packed: packed, within: s.Within}
		return found.read(ctx, s.Kind, s.Refs, func(context.Context) (io.ReadCloser, error) { return io.NopCloser(&b), nil })
	})
	switch {
	case err != nil:
		return nil, err
	case found.nonCanonical != "":
		return nil, errors.New(found.nonCanonical)
	case !slices.Equal(found.facts(), s.Facts) || len(b.ends) != len(s.Facts):
		return nil, errors.New("pieces differ from the label")
	}
	parts = map[flatten.Ref]part{}
	begin := int64(0)
	for i, p := range s.Facts {
		at := s.packed(f.Name(), p, begin, b.ends[i]-begin)
		if entry := b.lacks[i]; entry != nil {
			at = at.behind(entry)
		}
		parts[p.Ref], begin = at, b.ends[i]
	}
	return parts, nil
}

// packed returns the part for a compressed piece in a file.
func (s *Shared) packed(file string, p flatten.Facts, offset, length int64) part {
	open := func() (io.ReadCloser, error) {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		return &both{io.NewSectionReader(f, offset, length), []io.Closer{f}}, nil
	}
	return part{
		open: func() (io.ReadCloser, error) {
			packed, err := open()
			if err != nil {
				return nil, err
			}
			tar, err := s.Compression.Decompress(packed)
			if err != nil {
				return nil, errors.Join(err, packed.Close())
			}
			return &both{tar, []io.Closer{tar, packed}}, nil
		},
		splice: &Splice{ContentID: p.ContentID, Length: p.Length, Compression: s.Compression, Open: func(context.Context) (io.ReadCloser, error) { return open() }},
	}
}

// behind returns the part with an entry put in front. It can no longer be spliced.
func (p part) behind(entry []byte) part {
	return part{open: func() (io.ReadCloser, error) {
		rest, err := p.open()
		if err != nil {
			return nil, err
		}
		return &both{io.MultiReader(bytes.NewReader(entry), rest), []io.Closer{rest}}, nil
	}}
}

// borders reads the tar from a cutter, and writes the compressed pieces to out.
type borders struct {
	from  cutter
	kind  flatten.Kind
	facts []flatten.Facts
	out   io.Writer
	read  int64   // of the tar
	next  int64   // end of the current piece in the tar
	wrote int64   // of the compressed pieces
	ends  []int64 // of the pieces in out
	// shared is the entry of the current id directory. lacks has, for each piece that is stored
	// without that entry, the entry.
	shared idEntry
	lacks  [][]byte
}

// turn begins the next piece.
func (b *borders) turn() error {
	i := len(b.ends)
	length := b.facts[i].Length
	if !follows(b.facts, i) {
		b.shared = idEntry{dir: b.kind.IDDir(b.facts[i].Ref)}
		b.lacks = append(b.lacks, nil)
	} else {
		if !b.shared.whole {
			return errors.New("pieces differ from the label")
		}
		b.lacks = append(b.lacks, b.shared.head)
		length -= int64(len(b.shared.head))
	}
	if length <= 0 {
		return errors.New("pieces are shorter than in the label")
	}
	b.next += length
	return nil
}

func (b *borders) Read(p []byte) (int, error) {
	if b.read == b.next {
		if len(b.ends) == len(b.facts) {
			return b.from.Read(p) // the archive's end
		}
		if err := b.turn(); err != nil {
			return 0, err
		}
	}
	n, err := b.from.Read(p[:min(int64(len(p)), b.next-b.read)])
	b.read += int64(n)
	if follows(b.facts, len(b.ends)+1) {
		_, _ = b.shared.take(p[:n]) // the reader of the tar reports errors in it
	}
	keep := b.from.Keep
	if b.read == b.next {
		keep = b.from.Split
	}
	packed, wrong := keep(b.read)
	if wrong == nil {
		_, wrong = b.out.Write(packed)
	}
	b.wrote += int64(len(packed))
	if b.read == b.next {
		b.ends = append(b.ends, b.wrote)
	}
	if wrong != nil {
		return n, wrong
	}
	return n, err
}
