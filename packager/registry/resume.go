package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// worthwhile is how many bytes a connection must deliver not to count as a failed attempt.
const worthwhile = 1 << 20

// resuming returns blobs whose readers resume over a new connection if one breaks.
type resuming struct {
	inner    http.RoundTripper
	pause    time.Duration
	keychain authn.Keychain
}

// RoundTrip implements http.RoundTripper.
func (t *resuming) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.inner.RoundTrip(req)
	first := origin(req) // targets of redirects expire
	if err != nil || req.Method != http.MethodGet || resp.StatusCode != http.StatusOK || resp.Uncompressed ||
		resp.Body == nil || !isBlob(first) || first.Header.Get("Range") != "" {
		return resp, err
	}
	resp.Body = &resumed{inner: t.inner, pause: t.pause, keychain: t.keychain, ctx: req.Context(), first: first, body: resp.Body, size: resp.ContentLength}
	return resp, nil
}

// resumed reads a blob. If the connection breaks, it requests the rest. It does not verify the
// digest; its caller does.
type resumed struct {
	inner    http.RoundTripper
	pause    time.Duration
	keychain authn.Keychain
	ctx      context.Context
	first    *http.Request
	size     int64 // or -1
	// fresh is inner with a login of its own; it is set once the login of the first request is
	// refused. It gets a new token whenever it needs one.
	fresh http.RoundTripper

	at     int64 // bytes returned so far
	begun  int64 // value of at when this connection began
	skip   int64 // bytes to skip, which were returned before
	since  int64 // value of at when the attempts began to count
	failed int   // attempts since then
	broken error // error of body, not returned yet

	mu     sync.Mutex
	body   io.ReadCloser
	closed bool
}

// Read implements io.Reader.
func (r *resumed) Read(p []byte) (int, error) {
	for {
		n, err := r.read(p)
		r.at += int64(n)
		if err == nil || err == io.EOF {
			return n, err
		}
		r.broken = err
		if n > 0 {
			return n, nil
		}
		if err := r.again(); err != nil {
			return 0, err
		}
	}
}

func (r *resumed) read(p []byte) (int, error) {
	if r.broken != nil {
		return 0, r.broken
	}
	if r.skip > 0 {
		n, err := io.CopyN(io.Discard, r.body, r.skip)
		r.skip -= n
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
	}
	return r.body.Read(p)
}

// again opens a new connection for the rest, or returns the final error.
func (r *resumed) again() error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if r.at-r.since >= worthwhile {
		r.since, r.failed = r.at, 0
	}
	var stall *StallError
	if errors.As(r.broken, &stall) && r.at-r.begun <= stall.Bytes {
		return r.broken // it stalled from the beginning: do not wait again
	}
	r.failed++
	if r.failed == attempts || r.isClosed() {
		return r.broken
	}
	_ = r.body.Close() // already broken
	if err := wait(r.ctx, pauseAfter(r.failed, r.pause, false), 0); err != nil {
		return err
	}
	resp, err := r.rest()
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errors.Join(r.broken, resp.Body.Close())
	}
	r.body, r.broken, r.begun = resp.Body, nil, r.at
	return nil
}

// rest requests the missing part. If the registry sends the whole blob instead, the known part is
// skipped. It uses the login of the first request until the registry refuses it, since the token
// may have expired.
func (r *resumed) rest() (*http.Response, error) {
	resp, err := r.ask()
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusUnauthorized && r.fresh == nil {
		discard(resp)
		if r.fresh, err = r.login(); err == nil {
			resp, err = r.ask()
		}
		if err != nil {
			return nil, err
		}
	}
	switch resp.StatusCode {
	case http.StatusPartialContent:
		var begin, end, size int64
		if n, _ := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", &begin, &end, &size); n < 2 || begin != r.at {
			return nil, errors.Join(fmt.Errorf("%w; resumed at byte %d, but the registry sends %q", r.broken, r.at, Shorten(resp.Header.Get("Content-Range"))), resp.Body.Close())
		}
		r.skip = 0
	case http.StatusOK:
		r.skip = r.at
	default:
		return nil, errors.Join(transport.CheckError(resp), resp.Body.Close())
	}
	return resp, nil
}

// ask repeats the first request, for the missing part.
func (r *resumed) ask() (*http.Response, error) {
	// The request has the credentials for the host of the first request; [hops] decides which hosts
	// get them.
	req := r.first.Clone(r.ctx)
	wanted := fmt.Sprintf("bytes=%d-", r.at)
	if r.size >= 0 {
		wanted += fmt.Sprint(r.size - 1) // some registries require an end
	}
	req.Header.Set("Range", wanted)
	req.Response = nil
	via := r.inner
	if r.fresh != nil {
		via = r.fresh
		req.Header.Del("Authorization")
	}
	return (&http.Client{Transport: via, CheckRedirect: checkRedirect}).Do(req)
}

// login logs in to the registry again, to read from the repository of the blob.
func (r *resumed) login() (http.RoundTripper, error) {
	path, _, _ := strings.Cut(strings.TrimPrefix(r.first.URL.Path, "/v2/"), "/blobs/")
	var options []name.Option
	if r.first.URL.Scheme == "http" {
		options = append(options, name.Insecure)
	}
	repo, err := name.NewRepository(r.first.URL.Host+"/"+path, options...)
	if err != nil {
		return nil, err
	}
	auth, err := authn.Resolve(r.ctx, r.keychain, repo)
	if err != nil {
		return nil, err
	}
	agent := transport.NewUserAgent(r.inner, userAgent)
	return transport.NewWithContext(r.ctx, repo.Registry, auth, agent, []string{repo.Scope(transport.PullScope)})
}

// checkRedirect refuses redirects to plain HTTP, except to the registry itself. It is stricter than
// the library is for the first request.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if host := req.URL.Hostname(); net.ParseIP(host) != nil && host != via[0].URL.Hostname() {
		return fmt.Errorf("refused redirect to %s", host)
	}
	return nil
}

func (r *resumed) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// Close implements io.Closer.
func (r *resumed) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return r.body.Close()
}
