package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// errorBodyLimit is how much of an error response is read. It is less than
// what the library takes, which would otherwise report the excess and not the error.
const errorBodyLimit = 32 << 10

// PlainError is a request in the clear that was refused.
type PlainError struct {
	Host string // with the port, if it has one
}

func (e *PlainError) Error() string {
	return fmt.Sprintf("plain HTTP to %s is refused; --insecure-registry %s allows it", e.Host, e.Host)
}

// StallError is a request whose peer neither took nor gave a byte for a while.
type StallError struct {
	Host string
	For  time.Duration
}

func (e *StallError) Error() string {
	return fmt.Sprintf("%s is silent: no byte moved for %v", e.Host, e.For)
}

type guard struct {
	inner http.RoundTripper
	plain func(host string) bool
	stall time.Duration
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" && !g.plain(req.URL.Host) {
		closeBody(req.Body)
		return nil, &PlainError{Host: req.URL.Host}
	}
	if g.stall < 0 {
		resp, err := g.inner.RoundTrip(req)
		return capError(resp), err
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	w := &watch{after: g.stall, ctx: ctx, cancel: cancel, stalled: &StallError{Host: req.URL.Host, For: g.stall}}
	watched := req.WithContext(ctx)
	watchBody(watched, w)
	w.start()
	resp, err := g.inner.RoundTrip(watched)
	w.finish()
	if err != nil {
		err = w.cause(err)
		cancel(nil)
		return nil, err
	}
	if resp.Body == nil {
		cancel(nil)
		return resp, nil
	}
	resp.Body = &receivedBody{ReadCloser: resp.Body, watch: w}
	return capError(resp), nil
}

// watchBody puts the watch around the request's body, also where the transport
// opens it anew for another connection.
func watchBody(req *http.Request, w *watch) {
	if req.Body == nil || req.Body == http.NoBody {
		return
	}
	req.Body = &sentBody{ReadCloser: req.Body, watch: w}
	if again := req.GetBody; again != nil {
		req.GetBody = func() (io.ReadCloser, error) {
			body, err := again()
			if err != nil {
				return nil, err
			}
			return &sentBody{ReadCloser: body, watch: w}, nil
		}
	}
}

func closeBody(body io.Closer) {
	if body != nil {
		_ = body.Close() // the request was never made: nothing depends on it
	}
}

// capError cuts the body of an error response.
func capError(resp *http.Response) *http.Response {
	if resp != nil && resp.StatusCode >= 400 && resp.Body != nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, errorBodyLimit), resp.Body}
	}
	return resp
}

// A watch cancels a request when the peer lets its time run out. The time runs
// only while the peer is waited for: a slow reader or writer on our side is
// not its fault.
type watch struct {
	after   time.Duration
	ctx     context.Context
	cancel  context.CancelCauseFunc
	stalled error

	mu       sync.Mutex
	timer    *time.Timer
	answered bool
}

// start begins to wait for the peer to take the request and to answer.
func (w *watch) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(w.after, func() { w.cancel(w.stalled) })
}

// sending runs around every read of the request's body. What is left of it
// after the answer does not count: the peer has said what it had to say.
func (w *watch) sending(begin bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.answered:
	case begin:
		w.timer.Stop()
	default:
		w.timer.Reset(w.after)
	}
}

// finish ends the wait that start began.
func (w *watch) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answered = true
	w.timer.Stop()
}

// receiving runs around every read of the response's body.
func (w *watch) receiving(begin bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if begin {
		w.timer.Reset(w.after)
	} else {
		w.timer.Stop()
	}
}

// cause gives the stall where that is what broke the request.
func (w *watch) cause(err error) error {
	if context.Cause(w.ctx) == w.stalled {
		return w.stalled
	}
	return err
}

type sentBody struct {
	io.ReadCloser
	watch *watch
}

func (b *sentBody) Read(p []byte) (int, error) {
	b.watch.sending(true)
	defer b.watch.sending(false)
	return b.ReadCloser.Read(p)
}

type receivedBody struct {
	io.ReadCloser
	watch *watch
}

func (b *receivedBody) Read(p []byte) (int, error) {
	b.watch.receiving(true)
	n, err := b.ReadCloser.Read(p)
	b.watch.receiving(false)
	if err != nil && err != io.EOF {
		err = b.watch.cause(err)
	}
	return n, err
}

func (b *receivedBody) Close() error {
	err := b.ReadCloser.Close()
	b.watch.finish()
	b.watch.cancel(nil)
	return err
}
