package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

const (
	// attempts is the maximum number of attempts, including the first.
	attempts = 5
	// busyAttempts is that of a request that is refused with 429 by a host that serves others.
	busyAttempts = 15
	// doublings is how often the pause between attempts doubles.
	doublings = 3
	// shorter is how much shorter the first pause is after a 429 of a host that serves most requests.
	shorter = 16
	// firstPause is the default of [Options.Pause].
	firstPause = 250 * time.Millisecond
	// longestWait is the longest Retry-After that is honoured. Requests with a longer one fail.
	longestWait = time.Minute
)

// AgainError is a transient failure of a request that cannot be retried on its own: one of an
// upload, whose session may be lost. [Options.Again] retries the whole upload.
type AgainError struct {
	After time.Duration // the registry's Retry-After, or 0
	Err   error
	busy  bool // the host answered 429, and serves other requests
}

func (e *AgainError) Error() string { return e.Err.Error() }
func (e *AgainError) Unwrap() error { return e.Err }

// Again calls work until it does not return an [AgainError], up to five times, or 15 if the host is
// busy with other requests, with pauses that end with ctx. Attempts count from 1.
func (o Options) Again(ctx context.Context, work func(attempt int) error) error {
	for n := 1; ; n++ {
		err := work(n)
		var again *AgainError
		if !errors.As(err, &again) || n >= attempts && !again.busy || n == busyAttempts {
			return err
		}
		if err := wait(ctx, pauseAfter(n, o.pause(), false), again.After); err != nil {
			return err
		}
	}
}

// pauseAfter returns the pause after the nth attempt. It doubles with each one. If the host serves most
// requests, it begins shorter, and doubles with every second one: the next attempt will probably be
// served, and the limit of concurrent requests slows down all others.
func pauseAfter(n int, first time.Duration, short bool) time.Duration {
	most, times := first<<doublings, n-1
	if short {
		first, times = first/shorter, times/2
	}
	return min(first<<times, most)
}

// wait waits for a pause, or for as long as a registry asks for.
func wait(ctx context.Context, pause, after time.Duration) error {
	timer := time.NewTimer(max(pause, after))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

type skipExistsCheck struct{}

// SkipExistsCheck returns a context that skips checks for existing blobs: the transport answers the
// library's HEAD request with 404, so that it mounts or uploads the blob without a round trip.
func SkipExistsCheck(ctx context.Context) context.Context {
	return context.WithValue(ctx, skipExistsCheck{}, true)
}

// retrying retries requests that fail transiently.
type retrying struct {
	inner http.RoundTripper
	pool  *Pool
	pause time.Duration
}

// RoundTrip implements http.RoundTripper.
func (t *retrying) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodHead && isBlob(req) && req.Context().Value(skipExistsCheck{}) != nil {
		closeBody(req.Body)
		return &http.Response{
			Status: "404 Not Found", StatusCode: http.StatusNotFound, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{}, Body: http.NoBody, Request: req,
		}, nil
	}
	original := req
	host := t.pool.pace(req.URL)
	for n := 1; ; n++ {
		body := &ownBody{}
		resp, err := t.inner.RoundTrip(body.within(req))
		is429 := err == nil && resp.StatusCode == http.StatusTooManyRequests
		busy, short := host.isServing()
		busy, short = busy && is429, short && is429
		var after time.Duration
		worth := false
		switch {
		case err != nil:
			worth = isBroken(err) && !body.failed.Load()
		case n > 1 && isCommit(req) && lostUpload(resp.StatusCode):
			// The previous attempt may have succeeded, and its response got lost.
			return nil, &AgainError{Err: refusal(resp)}
		default:
			after, worth = mayPass(resp)
		}
		if err == nil && resp.StatusCode == http.StatusUnauthorized {
			restoreBody(original)
		}
		switch {
		case !worth || req.Context().Err() != nil:
			return resp, err
		case !isRepeatable(req) && !(is429 && req.GetBody != nil): // nothing was taken with 429
			if err == nil {
				err = refusal(resp)
			}
			return nil, &AgainError{After: after, Err: err, busy: busy}
		case n >= attempts && !busy, n == busyAttempts:
			return resp, err
		}
		if err == nil {
			discard(resp)
		}
		if err := wait(req.Context(), pauseAfter(n, t.pause, short), after); err != nil {
			return nil, err
		}
		if req, err = rewound(req); err != nil {
			return nil, err
		}
	}
}

// refusal reads a response and returns the library's error for it.
func refusal(resp *http.Response) error {
	return errors.Join(transport.CheckError(resp), resp.Body.Close())
}

// discard closes a response so that its connection can be reused.
func discard(resp *http.Response) {
	_, _ = io.Copy(io.Discard, resp.Body) // limited by capError
	_ = resp.Body.Close()
}

// rewound returns a copy of the request to send it again, with its body from the beginning.
func rewound(req *http.Request) (*http.Request, error) {
	next := req.Clone(context.WithValue(req.Context(), again{}, true))
	if req.GetBody == nil {
		return next, nil
	}
	body, err := req.GetBody()
	next.Body = body
	return next, err
}

// restoreBody makes the body of a refused request readable again. If a token expires in the middle
// of an upload, the library gets another one and repeats the request, whose body was consumed.
func restoreBody(req *http.Request) {
	if req.Body != nil && req.Body != http.NoBody && req.GetBody != nil {
		req.Body = &lateBody{open: req.GetBody}
	}
}

// lateBody is a body that is opened by the first read.
type lateBody struct {
	open func() (io.ReadCloser, error)
	body io.ReadCloser
}

func (b *lateBody) Read(p []byte) (int, error) {
	if b.body == nil {
		body, err := b.open()
		if err != nil {
			return 0, err
		}
		b.body = body
	}
	return b.body.Read(p)
}

func (b *lateBody) Close() error {
	if b.body == nil {
		return nil
	}
	return b.body.Close()
}

// isRepeatable reports whether a request can be retried on its own. Uploads of blob content cannot.
func isRepeatable(req *http.Request) bool {
	return req.Method != http.MethodPatch && (req.Body == nil || req.Body == http.NoBody || req.GetBody != nil)
}

func isBlob(req *http.Request) bool { return strings.Contains(req.URL.Path, "/blobs/sha256:") }

// isCommit reports whether a request ends an upload.
func isCommit(req *http.Request) bool {
	return req.Method == http.MethodPut && req.URL.Query().Has("digest")
}

// lostUpload reports whether a status means that the registry does not know the upload.
func lostUpload(status int) bool {
	return status == http.StatusNotFound || status == http.StatusBadRequest || status == http.StatusRequestedRangeNotSatisfiable
}

// mayPass reports whether a response is a transient failure, and returns its Retry-After.
func mayPass(resp *http.Response) (after time.Duration, worth bool) {
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests,
		http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
		522: // Cloudflare: the origin server does not respond
		after = retryAfter(resp.Header.Get("Retry-After"), time.Now())
		return after, after <= longestWait
	}
	return 0, false
}

// retryAfter parses the Retry-After header (RFC 9110, section 10.2.3): seconds or a date.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(date.Sub(now), 0)
	}
	return 0
}

// isBroken reports whether an established connection broke. Failures to connect, and peers that do
// not respond (even during the TLS handshake), are not retried.
func isBroken(err error) bool {
	var op *net.OpError
	var stall *StallError
	switch {
	case errors.As(err, &stall), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	case errors.As(err, &op) && op.Op == "dial":
		var dns *net.DNSError
		return errors.As(err, &dns) && dns.IsTemporary
	}
	for _, known := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.ETIMEDOUT, syscall.EPIPE, net.ErrClosed} {
		if errors.Is(err, known) {
			return true
		}
	}
	// The standard library's HTTP/2 has no types for these.
	return strings.Contains(err.Error(), "stream error: stream ID") || strings.Contains(err.Error(), "server sent GOAWAY")
}

// ownBody records whether a request failed because its body could not be read, which must not be
// retried.
type ownBody struct{ failed atomic.Bool }

// within returns the request with watched bodies.
func (b *ownBody) within(req *http.Request) *http.Request {
	if req.Body == nil || req.Body == http.NoBody {
		return req
	}
	watched := req.WithContext(req.Context())
	watched.Body = &ownReader{ReadCloser: req.Body, of: b}
	if again := req.GetBody; again != nil {
		watched.GetBody = func() (io.ReadCloser, error) {
			body, err := again()
			if err != nil {
				b.failed.Store(true)
				return nil, fmt.Errorf("reopening request body: %w", err)
			}
			return &ownReader{ReadCloser: body, of: b}, nil
		}
	}
	return watched
}

type ownReader struct {
	io.ReadCloser
	of     *ownBody
	closed atomic.Bool
}

func (r *ownReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && err != io.EOF && !r.closed.Load() {
		r.of.failed.Store(true)
	}
	return n, err
}

func (r *ownReader) Close() error {
	r.closed.Store(true)
	return r.ReadCloser.Close()
}
