package layer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/flatten/layer/inflate"
)

// Splice is a piece that was compressed before, by whomever: where it goes
// into a layer of the same compression, it is copied as it is.
type Splice struct {
	// ContentID is the piece's content identity: what comes out must be it.
	ContentID v1.Hash
	// Length of the piece, 0 where it is not known: then the tar is read for it.
	Length int64
	// Compression of the blob.
	Compression Compression
	// Open opens the blob: its content begins with the piece; what follows
	// that, an archive's end at the least, is left out.
	Open Opener
	// Within, where it is set, is asked after every read whether so much content
	// out of so many compressed bytes is bearable; its error ends the copying.
	Within func(content, packed int64) error
	// Fallback is what is tried where this cannot be copied; nil is the piece itself.
	Fallback *Splice
}

// A cutter reads a compressed stream, and gives the compressed form of what it
// begins with, without compressing it again.
type cutter interface {
	io.Reader
	// Keep gives compressed bytes that are certain when n bytes of what was
	// read are to be kept at the least. They are good until the next call.
	Keep(n int64) ([]byte, error)
	// Split is Keep, and an error unless a member or frame ends at n.
	Split(n int64) ([]byte, error)
	// End gives the rest, where just n bytes are kept.
	End(n int64) ([]byte, error)
}

// unsplicedError says that a piece could not be taken as it was compressed. It
// says nothing against the piece: who makes its tar anew will know.
type unsplicedError struct {
	ref    flatten.Ref
	splice *Splice // nil where it is not known which of them it was
	err    error
}

func (e *unsplicedError) Error() string {
	return fmt.Sprintf("buildpack %s cannot be copied as it is compressed: %v", e.ref, e.err)
}
func (e *unsplicedError) Unwrap() error { return e.err }

// avoid changes the members so that what has failed is not tried again, and
// all others come as they did. Where nobody knows what it was, no length is
// believed any more: then each is looked at by itself, and what is wrong with
// it is told of it. If that was done, nothing is spliced.
func (e *unsplicedError) avoid(members []Member) {
	measured := false
	for _, m := range members {
		for s := m.Splice; s != nil; s = s.Fallback {
			measured = measured || s.Length > 0
		}
	}
	for i, m := range members {
		switch {
		case e.splice != nil && m.Ref == e.ref:
			members[i].Splice, members[i].anew = e.splice.Fallback, true
		case e.splice == nil && measured:
			members[i].Splice = m.Splice.unmeasured()
		case e.splice == nil:
			members[i].Splice, members[i].anew = nil, true
		}
	}
}

func (s *Splice) unmeasured() *Splice {
	if s == nil {
		return nil
	}
	u := *s
	u.Length, u.Fallback = 0, s.Fallback.unmeasured()
	return &u
}

// splice takes a member's piece as it is compressed, and tells whether any of
// it is on its way. A blob that cannot be read, or is not what it should be, is
// another error than one that cannot be copied from: what is copied must
// depend on the blob alone.
func (s *stream) splice(kind flatten.Kind, ref flatten.Ref, from *Splice) (sent bool, err error) {
	opened, err := from.Open(s.ctx)
	if err != nil {
		return false, fmt.Errorf("buildpack %s: %w", ref, err)
	}
	blob := &remembering{r: contextReader{s.ctx, opened}}
	t := &splicing{stream: s}
	err = withCutter(from.Compression, blob, func(c cutter) error {
		t.from = &bounded{cutter: c, packed: blob, within: from.Within}
		return t.copy(kind, ref, from)
	})
	if err != nil && !errors.Is(err, errLargeFrame) && blob.err == nil {
		_, _ = copyContext(s.ctx, io.Discard, blob) // to its end, where it is checked
	}
	closed := opened.Close()
	switch {
	case err == nil && closed == nil:
		return true, nil
	case context.Cause(s.ctx) != nil:
		return t.sent, context.Cause(s.ctx)
	case blob.err != nil:
		return t.sent, fmt.Errorf("buildpack %s: %w", ref, blob.err)
	case closed != nil:
		return t.sent, fmt.Errorf("buildpack %s: %w", ref, closed)
	}
	return t.sent, &unsplicedError{ref, from, err}
}

// splicing is the tar of a piece as it comes out of a cutter.
type splicing struct {
	*stream
	from cutter
	n    int64
	sent bool
}

func (t *splicing) copy(kind flatten.Kind, ref flatten.Ref, from *Splice) (err error) {
	if from.Length > 0 {
		err = t.copyLength(from.Length)
	} else {
		err = t.copyScanned(kind, ref)
	}
	if err != nil {
		return err
	}
	rest, err := t.from.End(t.n)
	if err != nil {
		return err
	}
	return t.emit(rest)
}

// copyLength takes so many bytes, and reads the stream to its end, where it is
// checked.
func (t *splicing) copyLength(length int64) error {
	if n, err := copyContext(t.ctx, t, io.LimitReader(t.from, length)); err != nil || n < length {
		return errors.Join(err, io.ErrUnexpectedEOF)
	}
	_, err := copyContext(t.ctx, io.Discard, t.from)
	return err
}

// copyScanned takes what belongs to the piece, which must be where it can be
// copied from: at the beginning, and whole.
func (t *splicing) copyScanned(kind flatten.Kind, ref flatten.Ref) error {
	found, err := scan(t.ctx, t.from, kind, []flatten.Ref{ref}, true, func(flatten.Ref, bool) (io.Writer, error) { return t, nil })
	if err == nil && found.nonCanonical != "" {
		err = errors.New(found.nonCanonical)
	}
	return err
}

// Write takes bytes of the tar.
func (t *splicing) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n := min(len(p), cap(t.tar)-len(t.tar))
		t.tar = append(t.tar, p[:n]...)
		p, written, t.n = p[n:], written+n, t.n+int64(n)
		if len(t.tar) == cap(t.tar) {
			packed, err := t.from.Keep(t.n)
			if err == nil {
				err = t.emit(packed)
			}
			if err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

// emit sends the current chunk, with compressed bytes that are certain by now.
func (t *splicing) emit(packed []byte) error {
	next := t.next()
	next.packed.Write(packed)
	next.ready <- nil
	t.sent = true
	return t.send(t.ahead, next)
}

// bounded is a cutter whose content must be bearable.
type bounded struct {
	cutter
	packed  *remembering
	within  func(content, packed int64) error
	content int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.cutter.Read(p)
	b.content += int64(n)
	if b.within != nil {
		if over := b.within(b.content, b.packed.n); over != nil {
			return n, over
		}
	}
	return n, err
}

// remembering counts what it reads, and keeps the error.
type remembering struct {
	r   io.Reader
	n   int64
	err error
}

func (r *remembering) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.n += int64(n)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// cutters are those for gzip between two blobs: their buffers are large.
var cutters = sync.Pool{New: func() any { return &inflate.Cutter{} }}

// withCutter does something with a cutter for a blob of the compression.
func withCutter(c Compression, blob io.Reader, do func(cutter) error) error {
	switch c {
	case Gzip:
		cut := cutters.Get().(*inflate.Cutter)
		cut.Reset(blob)
		defer func() {
			cut.Reset(nil) // it must not hold on to the blob
			cutters.Put(cut)
		}()
		return do(cut)
	case Zstd:
		cut, err := newFrameCutter(blob)
		if err != nil {
			return err
		}
		return do(cut)
	}
	return fmt.Errorf("there is nothing to splice: it is compressed with %q", string(c))
}
