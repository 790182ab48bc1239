package registry

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// A watch cancels a request if the peer stalls or is too slow. Only time spent waiting for the peer
// counts, not that of a slow reader or writer on our side.
type watch struct {
	after  time.Duration
	ctx    context.Context
	cancel context.CancelCauseFunc
	host   string

	mu       sync.Mutex
	timer    *time.Timer
	answered bool
	since    time.Time     // start of the current wait
	waited   time.Duration // earlier waits since the rate was last checked
	moved    int64         // since the rate was last checked
}

// start begins to wait for the response.
func (w *watch) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since = time.Now()
	w.timer = time.AfterFunc(w.after, func() { w.cancel(&StallError{Host: w.host, For: w.after}) })
}

// beginWait and endWait enclose each wait for the peer.
func (w *watch) beginWait() {
	w.since = time.Now()
	w.timer.Reset(w.after)
}

// endWait records how many bytes moved meanwhile. If the rate is too low, it cancels the request
// and returns an error.
func (w *watch) endWait(moved int64) error {
	w.timer.Stop()
	if w.moved += moved; w.moved == 0 {
		return nil // such as connecting; the timer handles stalls
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

// finish ends the wait that start began. The rest of the request's body is not watched: the peer
// has responded.
func (w *watch) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answered = true
	w.waited, w.moved = 0, 0
	w.timer.Stop()
}

// cause returns the [StallError] if that caused err, or err.
func (w *watch) cause(err error) error {
	var stall *StallError
	if errors.As(context.Cause(w.ctx), &stall) {
		return stall
	}
	return err
}

// sentBody is the body of a request. Time between two reads is spent waiting for the peer.
type sentBody struct {
	io.ReadCloser
	watch *watch
	last  int64 // bytes of the last read, being sent now
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

// taken ends the wait for sending the bytes of the last read.
func (b *sentBody) taken() error {
	b.watch.mu.Lock()
	defer b.watch.mu.Unlock()
	if b.watch.answered {
		return nil
	}
	return b.watch.endWait(b.last)
}

// receivedBody is the body of a response. Every read waits for the peer.
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
