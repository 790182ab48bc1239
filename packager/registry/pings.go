package registry

import (
	"errors"
	"net/http"
	"sync"
)

// pings are the responses to the first request that the library sends to a registry, GET /v2/, which
// says how to log in. It carries no credentials, so the response is the same for everyone.
type pings struct {
	flights flights[string, *http.Response]

	mu       sync.Mutex
	answered map[string]*http.Response // without bodies, by origin
	failed   map[string]error          // of TLS, by host
}

// errPlain is the error of asking a host in TLS that has answered without it.
var errPlain = errors.New("server gave HTTP response to HTTPS client")

// pingsTripper answers pings of a host with what it said to the first, and lets concurrent ones wait
// for it. Failures are not kept, with one exception: a host that may be spoken to without TLS is
// asked in both ways by the library, and if only plain HTTP was answered, TLS is not tried again.
type pingsTripper struct {
	known *pings
	inner http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *pingsTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	if !isPing(req) {
		return t.inner.RoundTrip(req)
	}
	if resp, err := t.known.get(req); resp != nil || err != nil {
		return resp, err
	}
	resp, err := t.known.flights.do(req.Context(), originOf(req.URL), func() (*http.Response, error) {
		if resp, err := t.known.get(req); resp != nil || err != nil {
			return resp, err
		}
		return t.known.ask(req, t.inner)
	})
	if err != nil {
		return nil, err
	}
	return copyOf(resp, req), nil
}

func isPing(req *http.Request) bool {
	return req.Method == http.MethodGet && req.URL.Path == "/v2/" && req.URL.RawQuery == "" &&
		req.Header.Get("Authorization") == "" && req.Response == nil
}

// get returns a known response.
func (p *pings) get(req *http.Request) (*http.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if resp := p.answered[originOf(req.URL)]; resp != nil {
		return copyOf(resp, req), nil
	}
	if req.URL.Scheme != "https" || p.answered["http://"+hostport(req, "http")] == nil {
		return nil, nil
	}
	if err := p.failed[req.URL.Host]; err != nil {
		return nil, err
	}
	return nil, errPlain
}

// hostport returns the host that the library asks in another scheme, with the port.
func hostport(req *http.Request, scheme string) string {
	at := *req.URL
	at.Scheme = scheme
	return originOf(&at)[len(scheme)+len("://"):]
}

// ask pings, and keeps a response that says how to log in. The body of it is of no use.
func (p *pings) ask(req *http.Request, inner http.RoundTripper) (*http.Response, error) {
	resp, err := inner.RoundTrip(req)
	says := err == nil && (resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusUnauthorized)
	switch {
	case says: // read before the lock, which those of all hosts take
		discard(resp)
		resp.Body, resp.ContentLength = http.NoBody, 0
	case err == nil:
		return withBody(req.Context(), resp)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.answered == nil {
		p.answered, p.failed = map[string]*http.Response{}, map[string]error{}
	}
	switch {
	case says:
		p.answered[originOf(req.URL)] = resp
	case req.Context().Err() == nil && req.URL.Scheme == "https":
		p.failed[req.URL.Host] = err
	}
	return resp, err
}
