package layer

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
)

// Member is a piece and whose it is.
type Member struct {
	Ref   flatten.Ref
	Piece Piece
	// Splice, where it is set, is the same piece as somebody compressed it.
	Splice *Splice
	anew   bool // the piece is not asked for its compressed form
	// follows is set by Build: the piece shares the id directory of the member
	// before it. It is stored without the entry of that directory, and so is
	// always compressed anew. Where its own entry was another (another mode,
	// say), that of the first member counts for all, and its content identity
	// is that of what the layer gives back.
	follows bool
}

// splicer is a piece that may know of its compressed form when it is asked.
type splicer interface {
	splice(ctx context.Context) (*Splice, error) // nil if there is none
}

// BuildOptions say how a layer is built.
type BuildOptions struct {
	Kind        flatten.Kind
	Compression Compression // Uncompressed means Gzip: layers are always compressed
	// Path is the file that is written; it must not exist.
	Path string
	// Progress is told of uncompressed bytes as they go by; nil is fine.
	Progress func(n int64)
}

// Build writes the layer that holds the members in order, reading each piece
// once, and checks while it does so that the layer holds what it should: it is
// split again as its readers will, and each piece must come out as it went in.
// What can be spliced is; how a member comes into the layer depends on nothing
// but what is said of this one, and on whether it shares the id directory of the
// member before it. A file that could not be completed is removed.
func Build(ctx context.Context, members []Member, o BuildOptions) (*Built, error) {
	members = slices.Clone(members)
	for i := range members {
		members[i].follows = i > 0 && members[i].Ref.SharesIDDir(members[i-1].Ref)
	}
	for {
		b, err := create(o, func(b *Built, f io.Writer) error { return b.write(ctx, f, members, o) })
		var failed *unsplicedError
		if !errors.As(err, &failed) {
			return b, err
		}
		failed.avoid(members)
	}
}

// BuildTar writes a layer of other things than modules: the entries that write
// gives it, and the archive's end. Of the options Kind does not count.
func BuildTar(ctx context.Context, write func(context.Context, *tar.Writer) error, o BuildOptions) (*Built, error) {
	return create(o, func(b *Built, f io.Writer) error {
		w := newBlobWriter(ctx, f, o, nil)
		_, err := w.take(w.begin(func(s *stream) error {
			tw := tar.NewWriter(s)
			return errors.Join(write(s.ctx, tw), tw.Close())
		}), nil)
		b.diffID, b.digest, b.size = w.end(err)
		return err
	})
}

// DiffIDOf gives the diffID of the layer that [BuildTar] would write.
func DiffIDOf(ctx context.Context, write func(context.Context, *tar.Writer) error) (v1.Hash, error) {
	h := sha256.New()
	tw := tar.NewWriter(h)
	err := errors.Join(write(ctx, tw), tw.Close())
	return sum(h), err
}

func (o BuildOptions) compression() Compression {
	if o.Compression == Uncompressed {
		return Gzip
	}
	return o.Compression
}

// create makes the file of a layer, and removes it if it could not be completed.
func create(o BuildOptions, write func(*Built, io.Writer) error) (*Built, error) {
	f, err := os.OpenFile(o.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	b := &Built{path: o.Path, compression: o.compression()}
	if err := errors.Join(write(b, f), f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(o.Path))
	}
	return b, nil
}

func (b *Built) write(ctx context.Context, f io.Writer, members []Member, o BuildOptions) error {
	c := startCheck(context.WithoutCancel(ctx), o.Kind, members) // ends with the pipe
	w := newBlobWriter(ctx, f, o, c)
	written, err := w.members(o.Kind, members)
	b.diffID, b.digest, b.size = w.end(err)
	for _, p := range written {
		b.Packed = append(b.Packed, p.packed)
	}
	b.Pieces, err = c.end(err, written)
	return unspliced(err, w.begun, members, b.Pieces)
}

// unspliced takes the blame off the pieces where some of them were spliced, and
// something is wrong with what came of it.
func unspliced(err error, begun []*stream, members []Member, pieces []flatten.Facts) error {
	isCopied := func(s *stream) bool { return s.copied != nil }
	if errors.As(err, new(*BugError)) && slices.ContainsFunc(begun, isCopied) {
		return &unsplicedError{err: err}
	}
	for i, s := range begun {
		if err == nil && s.copied != nil && pieces[i].ContentID != s.copied.ContentID {
			return &unsplicedError{members[i].Ref, s.copied, fmt.Errorf("its content is %s", pieces[i].ContentID)}
		}
	}
	return err
}

// member makes the tar of a member, and compresses it or takes it compressed.
func (s *stream) member(kind flatten.Kind, m Member) error {
	if m.follows {
		entry := &idEntry{dir: kind.IDDir(m.Ref)}
		if err := entry.writeWithout(s, func(w io.Writer) error { return m.Piece.WriteEntries(s.ctx, w) }); err != nil {
			return fmt.Errorf("buildpack %s: %w", m.Ref, err)
		}
		return nil
	}
	from := m.Splice
	if p, ok := m.Piece.(splicer); ok && from == nil && !m.anew {
		var err error
		if from, err = p.splice(s.ctx); err != nil {
			return fmt.Errorf("buildpack %s: %w", m.Ref, err)
		}
	}
	for s.copied = from; s.copied != nil; s.copied = s.copied.Fallback {
		if s.copied.Compression != s.press.compression {
			continue
		}
		sent, err := s.splice(kind, m.Ref, s.copied)
		if sent || !errors.As(err, new(*unsplicedError)) {
			return err
		}
		s.tar = s.tar[:0] // nobody has seen it
	}
	if err := m.Piece.WriteEntries(s.ctx, s); err != nil {
		return fmt.Errorf("buildpack %s: %w", m.Ref, err)
	}
	return nil
}

// A BugError says that a layer does not hold what it was built of. It is a
// bug in laminate, whatever the input.
type BugError struct {
	Refs   []flatten.Ref // of the layer
	Detail string
}

func (e *BugError) Error() string {
	return fmt.Sprintf("layer of %v: %s", e.Refs, e.Detail)
}
