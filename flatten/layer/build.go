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

// Member is a piece and its ref.
type Member struct {
	Ref   flatten.Ref
	Piece Piece
	// Splice, if set, is a compressed copy of the same piece.
	Splice *Splice
	anew   bool // do not splice
	// follows is set by Build: the piece shares the id directory of the member before it. It is
	// stored without the entry of that directory, and therefore always compressed again. If the
	// entries differ (in mode, say), that of the first member counts for all, and the content
	// identity is that of the piece as the layer is split again.
	follows bool
}

// splicer is a piece that may have a compressed copy.
type splicer interface {
	splice(ctx context.Context) (*Splice, error) // nil if it has none
}

// BuildOptions are the options of [Build] and [BuildTar].
type BuildOptions struct {
	Kind        flatten.Kind
	Compression Compression // Uncompressed means Gzip: layers are always compressed
	// Path is the file to write; it must not exist.
	Path string
	// Growing, if set, is the layer for readers that follow it; see [BuildOptions.Grow].
	Growing *Growing
	// Progress, if set, is called with the number of uncompressed bytes written since the last
	// call.
	Progress func(n int64)
}

// Build writes the layer that holds the members in order, reading each piece once. While writing,
// it splits the layer as its readers do, and compares each piece with its input; a difference is a
// [BugError]. It splices the members that it can. How a member is written depends only on that
// member, and on whether it shares the id directory of the member before it. On error, Build
// removes the file.
func Build(ctx context.Context, members []Member, o BuildOptions) (*Built, error) {
	members = slices.Clone(members)
	for i := range members {
		members[i].follows = i > 0 && members[i].Ref.SharesIDDir(members[i-1].Ref)
	}
	for {
		b, err := create(o, func(b *Built, f io.Writer) error { return b.write(ctx, f, members, o) })
		var failed *unsplicedError
		if !errors.As(err, &failed) {
			return o.end(b, err)
		}
		failed.avoid(members)
		if o.Growing != nil {
			o.Growing.restart()
		}
	}
}

// end returns the result of a build, also to readers that follow it.
func (o BuildOptions) end(b *Built, err error) (*Built, error) {
	if o.Growing != nil {
		o.Growing.end(b, err)
	}
	return b, err
}

// BuildTar writes a layer that does not hold modules: the entries that write writes, and the end of
// the archive. It ignores o.Kind.
func BuildTar(ctx context.Context, write func(context.Context, *tar.Writer) error, o BuildOptions) (*Built, error) {
	return o.end(create(o, func(b *Built, f io.Writer) error {
		w := newBlobWriter(ctx, f, o, nil)
		_, err := w.take(w.begin(func(s *stream) error {
			tw := tar.NewWriter(s)
			return errors.Join(write(s.ctx, tw), tw.Close())
		}), noMember)
		b.diffID, b.digest, b.size = w.end(err)
		return err
	}))
}

// DiffIDOf returns the diffID of the layer that [BuildTar] would write.
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

// create creates the file of a layer, and removes it on error.
func create(o BuildOptions, write func(*Built, io.Writer) error) (*Built, error) {
	f, err := os.OpenFile(o.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	b := &Built{path: o.Path, compression: o.compression()}
	var w io.Writer = f
	if o.Growing != nil {
		w = grower{f, o.Growing}
	}
	if err := errors.Join(write(b, w), f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(o.Path))
	}
	return b, nil
}

func (b *Built) write(ctx context.Context, f io.Writer, members []Member, o BuildOptions) error {
	c := startCheck(context.WithoutCancel(ctx), o.Kind, members) // ends with what is written
	w := newBlobWriter(ctx, f, o, c)
	var err error
	b.Packed, err = w.members(o.Kind, members)
	_, b.digest, b.size = w.end(err)
	b.diffID, b.Pieces, err = c.end(err)
	return unspliced(err, w.begun, members, b.Pieces)
}

// unspliced attributes a failed check to the spliced pieces, if there are any, so that the layer is
// built again without them.
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

// member produces the tar of a member and its compressed form, spliced or compressed again.
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
		s.tar = s.tar[:0] // it was not sent yet
	}
	if err := m.Piece.WriteEntries(s.ctx, s); err != nil {
		return fmt.Errorf("buildpack %s: %w", m.Ref, err)
	}
	return nil
}

// A BugError reports that a layer does not hold what it was built from. It is always a bug in
// laminate, never in the input.
type BugError struct {
	Refs   []flatten.Ref // all refs of the layer
	Detail string
}

func (e *BugError) Error() string {
	return fmt.Sprintf("layer of %v: %s", e.Refs, e.Detail)
}
