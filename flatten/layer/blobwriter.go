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
// err is nil and nothing failed before.
func (w *blobWriter) end(err error) (diffID, digest v1.Hash, size int64) {
	w.cancel(err)
	for _, s := range w.begun {
		s.drain()
	}
	w.press.close()
	return sum(w.diffID), sum(w.digest), w.size
}

// ahead is how many members are prepared before it is their turn.
const ahead = 2

// members writes a layer of modules, including the trailer.
func (w *blobWriter) members(kind flatten.Kind, members []Member) (written []passed, err error) {
	var shared *idEntry // of the first member of a shared id directory
	for i, m := range members {
		for next := len(w.begun); next < len(members) && next <= i+ahead; next++ {
			w.begin(func(s *stream) error { return s.member(kind, members[next]) })
		}
		switch {
		case m.follows:
		case i+1 < len(members) && members[i+1].follows:
			shared = &idEntry{dir: kind.IDDir(m.Ref)}
		default:
			shared = nil
		}
		p, err := w.take(w.begun[i], shared)
		if err != nil {
			return nil, err
		}
		p.ref = m.Ref
		written = append(written, p)
	}
	return written, w.trailer()
}

// passed describes what was written for one member, to be compared with what the check reads back.
// The sum never leaves the process, so it need not be cryptographic.
type passed struct {
	ref            flatten.Ref
	length, packed int64
	sum            uint64
}

// take writes a whole stream. Shared is the entry of an id directory that several members share:
// the first of them contains it. It is added to the sums of the others, since readers of the layer
// put it in front of them.
func (w *blobWriter) take(s *stream, shared *idEntry) (passed, error) {
	var p passed
	h := newQuick()
	if shared != nil && shared.whole {
		h.Write(shared.head)
		p.length = int64(len(shared.head))
	}
	for next := range s.ahead {
		if err := context.Cause(w.ctx); err != nil {
			return p, err
		}
		if shared != nil {
			_, _ = shared.take(next.tar) // the check reports errors in the first member
		}
		h.Write(next.tar)
		p.length += int64(len(next.tar))
		n, err := w.segment(next)
		if err != nil {
			return p, err
		}
		p.packed += n
	}
	p.sum = h.Sum64()
	return p, s.err
}

// segment writes the tar of a segment at once, and its compressed bytes when they are ready.
func (w *blobWriter) segment(s *segment) (packed int64, err error) {
	w.diffID.Write(s.tar)
	if w.check != nil {
		if _, err := w.check.Write(s.tar); err != nil {
			return 0, err
		}
	}
	if w.progress != nil {
		w.progress(int64(len(s.tar)))
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
	_, err := w.segment(s)
	return err
}
