package engine

import (
	"context"
	"io"
	"sync"

	"laminate/flatten/layer"
)

// opensAhead is how many blobs of a layer are opened before it is their turn. Over a network, the
// first byte of a blob of a buildpack takes longer than the rest. They wait in the buffers of the
// kernel or, over HTTP/2, in up to 1 MiB of memory each.
const opensAhead = 8

// A queue opens blobs in the order in which they will be read. Each is opened at most once by the
// queue; whoever opens it again, opens it anew.
type queue struct {
	ctx context.Context

	mu     sync.Mutex
	blobs  []*queued
	opened int // how many of the blobs the queue has opened, or passed over
}

// queued is a blob in a queue.
type queued struct {
	open  layer.Opener
	wait  func() (io.ReadCloser, error) // set once the queue opens it
	taken bool
}

// add adds a blob, and returns its opener.
func (q *queue) add(open layer.Opener) layer.Opener {
	b := &queued{open: open}
	q.blobs = append(q.blobs, b)
	return func(ctx context.Context) (io.ReadCloser, error) {
		if wait := q.take(b); wait != nil {
			return wait()
		}
		return open(ctx)
	}
}

// take returns the function that waits for a blob that the queue opens, or nil, and lets the queue
// open the next.
func (q *queue) take(b *queued) func() (io.ReadCloser, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if b.taken {
		return nil
	}
	b.taken = true
	q.advance(1)
	return b.wait
}

// start opens the first blobs.
func (q *queue) start() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.advance(opensAhead)
}

// advance opens the next n blobs. The caller must hold the lock.
func (q *queue) advance(n int) {
	for ; n > 0 && q.opened < len(q.blobs); q.opened++ {
		if b := q.blobs[q.opened]; !b.taken {
			b.wait = Ahead(func() (io.ReadCloser, error) { return b.open(q.ctx) })
			n--
		}
	}
}

// end closes the blobs that were opened and not taken.
func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range q.blobs {
		if b.wait != nil && !b.taken {
			if blob, err := b.wait(); err == nil {
				_ = blob.Close() // it was not read
			}
		}
		b.taken = true
	}
}
