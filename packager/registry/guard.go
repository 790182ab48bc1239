package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// errorBodyLimit is how much of an error response is read. It is less than the library's own limit,
// which would otherwise be reported instead of the error.
const errorBodyLimit = 32 << 10

// PlainError is a refused request over plain HTTP.
type PlainError struct {
	Host string // with the port, if it has one
}

func (e *PlainError) Error() string {
	return fmt.Sprintf("refused plain HTTP to %s; allow it with --insecure-registry %s", e.Host, e.Host)
}

// leastRate is the minimum average rate of a peer in bytes per second, over the stall time. A slow
// modem is four times as fast; at this rate a layer of 10 MB would take three hours.
const leastRate = 1000

// StallError is a request whose peer moved no byte for the stall time, or was slower than
// leastRate.
type StallError struct {
	Host  string
	For   time.Duration
	Bytes int64 // moved in this time
}

func (e *StallError) Error() string {
	if e.Bytes == 0 {
		return fmt.Sprintf("%s does not respond: no byte moved for %v", e.Host, e.For)
	}
	return fmt.Sprintf("%s is too slow: %d bytes in %v; the minimum is %d bytes per second", e.Host, e.Bytes, e.For.Round(time.Millisecond), leastRate)
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
	w := &watch{after: g.stall, ctx: ctx, cancel: cancel, host: req.URL.Host}
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

// watchBody wraps the request's body with the watch, also when the transport reopens it for another
// connection.
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
		_ = body.Close() // the request was never sent
	}
}

// capError limits the body of an error response.
func capError(resp *http.Response) *http.Response {
	if resp != nil && resp.StatusCode >= 400 && resp.Body != nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, errorBodyLimit), resp.Body}
	}
	return resp
}
