package registry

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// A watch cancels a request when the peer lets its time run out, or moves too
// few bytes in it. The time runs only while the peer is waited for: a slow
// reader or writer on our side is not its fault.
type watch struct {
	after  time.Duration
	ctx    context.Context
	cancel context.CancelCauseFunc
	host   string

	mu       sync.Mutex
	timer    *time.Timer
	answered bool
	since    time.Time     // when the wait that is under way began
	waited   time.Duration // before that, since the rate was last looked at
	moved    int64         // in this time
}

// start begins to wait for the peer to take the request and to answer.
func (w *watch) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since = time.Now()
	w.timer = time.AfterFunc(w.after, func() { w.cancel(&StallError{Host: w.host, For: w.after}) })
}

// beginWait and endWait stand around what the peer is waited for.
func (w *watch) beginWait() {
	w.since = time.Now()
	w.timer.Reset(w.after)
}

// endWait takes note of what moved meanwhile. It returns an error, and cancels
// the request, where that was too little.
func (w *watch) endWait(moved int64) error {
	w.timer.Stop()
	if w.moved += moved; w.moved == 0 {
		return nil // connecting, for one; of silence the timer takes care
	}
	if w.waited += time.Since(w.since); w.waited < w.after {
		return nil
	}
	slow := &StallError{Host: w.host, For: w.waited, Bytes: w.moved}
	enough := float64(w.moved) >= leastRate*w.waited.Seconds()
	w.waited, w.moved = 0, 0
	if enough {
		return nil
	}
	w.cancel(slow)
	return slow
}

// finish ends the wait that start began. What is left of the request's body
// after the answer does not count: the peer has said what it had to say.
func (w *watch) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answered = true
	w.waited, w.moved = 0, 0
	w.timer.Stop()
}

// cause returns the stall where that is what broke the request.
func (w *watch) cause(err error) error {
	var stall *StallError
	if errors.As(context.Cause(w.ctx), &stall) {
		return stall
	}
	return err
}

// sentBody is the body of a request: the peer is waited for between two reads.
type sentBody struct {
	io.ReadCloser
	watch *watch
	last  int64 // bytes of the last read, which the peer takes now
}

func (b *sentBody) Read(p []byte) (int, error) {
	if err := b.taken(); err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p)
	b.last = int64(n)
	b.watch.mu.Lock()
	defer b.watch.mu.Unlock()
	if !b.watch.answered {
		b.watch.beginWait()
	}
	return n, err
}

// taken ends the wait for the peer to take the bytes of the last read.
func (b *sentBody) taken() error {
	b.watch.mu.Lock()
	defer b.watch.mu.Unlock()
	if b.watch.answered {
		return nil
	}
	return b.watch.endWait(b.last)
}

// receivedBody is the body of a response: the peer is waited for in every read.
type receivedBody struct {
	io.ReadCloser
	watch *watch
}

func (b *receivedBody) Read(p []byte) (int, error) {
	b.watch.mu.Lock()
	b.watch.beginWait()
	b.watch.mu.Unlock()
	n, err := b.ReadCloser.Read(p)
	b.watch.mu.Lock()
	slow := b.watch.endWait(int64(n))
	b.watch.mu.Unlock()
	switch {
	case err == io.EOF:
	case err != nil:
		err = b.watch.cause(err)
	case slow != nil:
		err = slow
	}
	return n, err
}

func (b *receivedBody) Close() error {
	err := b.ReadCloser.Close()
	b.watch.finish()
	b.watch.cancel(nil)
	return err
}
