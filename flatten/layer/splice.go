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

// Splice is a compressed copy of a piece, made by any tool. It is copied unchanged into layers of
// the same compression.
type Splice struct {
	// ContentID is the piece's content identity, which is verified.
	ContentID v1.Hash
	// Length is the length of the piece, or 0 if it is unknown: then it is found by reading the
	// tar.
	Length int64
	// Compression of the blob.
	Compression Compression
	// Open opens the blob. Its content begins with the piece; the rest, which is at least the end
	// of the archive, is ignored.
	Open Opener
	// Within, if set, is called after every read with the content and compressed bytes so far, to
	// limit them; its error ends the copying.
	Within func(content, packed int64) error
	// Fallback is tried if this cannot be copied; nil means the piece itself.
	Fallback *Splice
}

// A cutter reads the content of a compressed stream, and returns the compressed form of its
// beginning without compressing it again.
type cutter interface {
	io.Reader
	// Keep returns the further compressed bytes that are final once at least n bytes of the content
	// are kept. They are valid until the next call.
	Keep(n int64) ([]byte, error)
	// Split is like Keep, and fails unless a member or frame ends at n.
	Split(n int64) ([]byte, error)
	// End returns the rest, with exactly n bytes kept.
	End(n int64) ([]byte, error)
}

// unsplicedError reports that a piece could not be spliced. The piece itself may be fine.
type unsplicedError struct {
	ref    flatten.Ref
	splice *Splice // nil if the splice is unknown
	err    error
}

func (e *unsplicedError) Error() string {
	return fmt.Sprintf("buildpack %s cannot be spliced: %v", e.ref, e.err)
}
func (e *unsplicedError) Unwrap() error { return e.err }

// avoid changes the members so that the failed splice is not tried again, and all others are
// written as before. If it is unknown which splice failed, avoid drops all lengths, so that each
// piece is scanned and its own error found. If that was done before, it disables splicing.
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

// splice copies the compressed piece of a member, and reports whether any of it was sent. A blob
// that is unreadable or corrupt is a different error from one that cannot be spliced: which pieces
// are spliced must depend on the content of the blob alone.
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
		_, _ = copyContext(s.ctx, io.Discard, blob) // to the end, where it is verified
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

// splicing receives the tar of a piece from a cutter.
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

// copyLength copies length bytes, and reads the stream to its end, where it is verified.
func (t *splicing) copyLength(length int64) error {
	from := contextReader{t.ctx, t.from}
	for t.n < length {
		have := len(t.tar)
		n, err := from.Read(t.tar[have:min(int64(cap(t.tar)), int64(have)+length-t.n)])
		if failed := t.take(n); failed != nil {
			return failed
		}
		if err != nil && (t.n < length || !errors.Is(err, io.EOF)) {
			return unexpected(err)
		}
	}
	_, err := copyContext(t.ctx, io.Discard, t.from)
	return err
}

// take adds n bytes, which are in the current chunk already.
func (t *splicing) take(n int) error {
	t.tar = t.tar[:len(t.tar)+n]
	if t.n += int64(n); len(t.tar) < cap(t.tar) {
		return nil
	}
	packed, err := t.from.Keep(t.n)
	if err != nil {
		return err
	}
	return t.emit(packed)
}

// copyScanned copies the piece, which must be whole and at the beginning of the stream.
func (t *splicing) copyScanned(kind flatten.Kind, ref flatten.Ref) error {
	found, err := scan(t.ctx, t.from, kind, []flatten.Ref{ref}, true, func(flatten.Ref, bool) (io.Writer, error) { return t, nil })
	if err == nil && found.nonCanonical != "" {
		err = errors.New(found.nonCanonical)
	}
	return err
}

// Write appends to the tar.
func (t *splicing) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n := copy(t.tar[len(t.tar):cap(t.tar)], p)
		p, written = p[n:], written+n
		if err := t.take(n); err != nil {
			return written, err
		}
	}
	return written, nil
}

// emit sends the current chunk, with the compressed bytes that are final by now.
func (t *splicing) emit(packed []byte) error {
	next := t.next()
	next.packed.Write(packed)
	next.ready <- nil
	t.sent = true
	return t.send(t.ahead, next)
}

// bounded is a cutter that checks Within.
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

// remembering counts the bytes that it reads, and keeps the error.
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

// cutters pools gzip cutters: their buffers are large.
var cutters = sync.Pool{New: func() any { return &inflate.Cutter{} }}

// withCutter calls do with a cutter for a blob.
func withCutter(c Compression, blob io.Reader, do func(cutter) error) error {
	switch c {
	case Gzip:
		cut := cutters.Get().(*inflate.Cutter)
		cut.Reset(blob)
		defer func() {
			cut.Reset(nil) // do not retain the blob
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
	return fmt.Errorf("unsupported compression %q for splicing", string(c))
}
