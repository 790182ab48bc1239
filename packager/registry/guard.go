package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"
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

// leastRate is how many bytes a second a peer has to take or give on average
// over the time of a stall, while it is waited for. A slow modem does four times
// as much; at this rate a layer of 10 MB would take three hours.
const leastRate = 1000

// StallError is a request whose peer neither took nor gave a byte for a while,
// or fewer than a thousand a second over such a while.
type StallError struct {
	Host  string
	For   time.Duration
	Bytes int64 // that moved in this time
}

func (e *StallError) Error() string {
	if e.Bytes == 0 {
		return fmt.Sprintf("%s is silent: no byte moved for %v", e.Host, e.For)
	}
	return fmt.Sprintf("%s is too slow: %d bytes in %v; the least is %d bytes a second", e.Host, e.Bytes, e.For.Round(time.Millisecond), leastRate)
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
