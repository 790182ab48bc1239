package layer

import (
	"context"
	"crypto/sha256"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
)

// blobWriter joins streams into the blob of a layer. It hashes, checks and writes them in one pass.
// The tar of a layer of modules is hashed by its check.
type blobWriter struct {
	ctx         context.Context
	cancel      context.CancelCauseFunc
	compression Compression
	press       *press
	begun       []*stream

	out      io.Writer
	diffID   hash.Hash
	digest   hash.Hash
	size     int64
	check    *check // nil for layers without modules
	progress func(int64)
}

// newBlobWriter starts writing to out. The caller must call end.
func newBlobWriter(ctx context.Context, out io.Writer, o BuildOptions, c *check) *blobWriter {
	w := &blobWriter{
		compression: o.compression(), press: newPress(o.compression()),
		out: out, diffID: sha256.New(), digest: sha256.New(), check: c, progress: o.Progress,
	}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	return w
}

// begin starts a stream; end stops it.
func (w *blobWriter) begin(produce func(*stream) error) *stream {
	s := newStream(w.ctx, w.press, produce)
	w.begun = append(w.begun, s)
	return s
}

// end stops all streams, and returns diffID, digest and size of the blob. They are valid only if
// err is nil and nothing failed before. With a check, the diffID is that of the check.
func (w *blobWriter) end(err error) (diffID, digest v1.Hash, size int64) {
	w.cancel(err)
	for _, s := range w.begun {
		s.drain()
	}
	w.press.close()
	return sum(w.diffID), sum(w.digest), w.size
}

// ahead returns how many members are prepared before it is their turn: one, or two where there are
// cores for them.
func ahead() int { return min(max(workers()-1, 1), 2) }

// members writes a layer of modules, including the trailer. It returns the length of each member in
// the blob.
func (w *blobWriter) members(kind flatten.Kind, members []Member) (packed []int64, err error) {
	for i := range members {
		for next := len(w.begun); next < len(members) && next <= i+ahead(); next++ {
			w.begin(func(s *stream) error { return s.member(kind, members[next]) })
		}
		n, err := w.take(w.begun[i], i)
		if err != nil {
			return nil, err
		}
		packed = append(packed, n)
	}
	return packed, w.trailer()
}

// take writes a whole stream, which is that of the member with this number, and returns its length in
// the blob.
func (w *blobWriter) take(s *stream, member int) (packed int64, err error) {
	for next := range s.ahead {
		if err := context.Cause(w.ctx); err != nil {
			return 0, err
		}
		n, err := w.segment(next, member)
		if err != nil {
			return 0, err
		}
		packed += n
	}
	return packed, s.err
}

// segment writes the tar of a segment at once, and its compressed bytes when they are ready.
func (w *blobWriter) segment(s *segment, member int) (packed int64, err error) {
	if w.progress != nil {
		w.progress(int64(len(s.tar)))
	}
	if w.check == nil {
		w.diffID.Write(s.tar)
	} else if err := w.check.take(s, member); err != nil {
		return 0, err
	}
	if err := <-s.ready; err != nil {
		return 0, err
	}
	w.digest.Write(s.packed.Bytes())
	n, err := w.out.Write(s.packed.Bytes())
	w.size += int64(n)
	s.release()
	return int64(n), err
}

// trailer writes the end of the archive, in a member or frame of its own.
func (w *blobWriter) trailer() error {
	s := newSegment(append(newChunk(), trailer[:]...))
	s.ready <- newEncoder(w.compression)(s)
	_, err := w.segment(s, noMember)
	return err
}
