package layer

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
)

// segment is a part of a layer that is being written.
type segment struct {
	tar    []byte       // the next bytes of the tar, in a chunk of the pool
	packed bytes.Buffer // the next bytes of the blob
	ready  chan error   // receives one value, once packed is complete
	users  atomic.Int32 // that have not released it
}

var (
	segments = sync.Pool{New: func() any { return &segment{ready: make(chan error, 1)} }}
	chunks   = sync.Pool{New: func() any { return new([chunkSize]byte) }}
)

func newChunk() []byte { return chunks.Get().(*[chunkSize]byte)[:0] }

func putChunk(tar []byte) { chunks.Put((*[chunkSize]byte)(tar[:chunkSize])) }

func newSegment(tar []byte) *segment {
	s := segments.Get().(*segment)
	s.tar = tar
	s.users.Store(1)
	s.packed.Reset()
	s.packed.Grow(chunkSize / 2) // usually enough
	return s
}

// share adds a user.
func (s *segment) share() { s.users.Add(1) }

// release returns the segment to the pool, once all of its users have released it.
func (s *segment) release() {
	if s.users.Add(-1) > 0 {
		return
	}
	putChunk(s.tar)
	s.tar = nil
	segments.Put(s)
}

// stream is a part of a layer that is produced by a goroutine of its own, ahead of its turn up to
// lookahead segments.
type stream struct {
	ctx   context.Context
	press *press
	tar   []byte // the current chunk
	ahead chan *segment
	// The following may only be read after ahead is closed.
	err    error   // why the stream ended
	copied *Splice // the splice that was copied, or nil
}

// newStream starts a stream of what produce writes. It ends when produce returns.
func newStream(ctx context.Context, p *press, produce func(*stream) error) *stream {
	s := &stream{ctx: ctx, press: p, tar: newChunk(), ahead: make(chan *segment, max(lookahead, 2*workers()-1))}
	go func() {
		defer close(s.ahead)
		if s.err = produce(s); s.err == nil {
			s.err = s.cut()
		}
		putChunk(s.tar)
	}()
	return s
}

// lookahead is how many segments a stream may be ahead of the writer, if there are few workers.
const lookahead = 3

// Write appends to the tar. Every chunk is compressed separately.
func (s *stream) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n := min(len(p), cap(s.tar)-len(s.tar))
		s.tar = append(s.tar, p[:n]...)
		p, written = p[n:], written+n
		if len(s.tar) == cap(s.tar) {
			if err := s.cut(); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

// cut ends the current chunk; the next Write starts another.
func (s *stream) cut() error {
	if len(s.tar) == 0 {
		return nil
	}
	next := s.next()
	if err := s.send(s.press.work, next); err != nil {
		return err
	}
	return s.send(s.ahead, next)
}

// next returns the current chunk as a segment, and starts another.
func (s *stream) next() *segment {
	next := newSegment(s.tar)
	s.tar = newChunk()
	return next
}

func (s *stream) send(to chan<- *segment, next *segment) error {
	if err := context.Cause(s.ctx); err != nil {
		return err
	}
	select {
	case to <- next:
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// drain discards the rest of a stream.
func (s *stream) drain() {
	for range s.ahead {
	}
}
