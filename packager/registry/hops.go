package registry

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
)

// redirectLimit is how many requests in a row may be redirected.
const redirectLimit = 10

// hops decides what a request may carry to the host that it goes to. It is the
// only place that does: whatever sent the request (the library, its HTTP
// client on a redirect, a retry, a resumed read), it passes here once for each
// host.
//
// Credentials are for an origin: scheme, host and port. The first request of a
// chain of redirects has those that its sender chose for its origin. Each
// later hop to the same origin has the same, also after a detour; a hop to any other
// has none of them, be it a subdomain, another port, or the same host in the
// clear. The exception is what was got for the other origin itself: a token of
// its own that it handed out anonymously. User and password in the address of a
// redirect are ignored. A login that is sent in a body (OAuth 2) is not
// redirected to another origin at all.
//
// No Referer is sent: it would be the whole address of the hop before,
// signature included.
type hops struct{ inner http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t *hops) RoundTrip(req *http.Request) (*http.Response, error) {
	via := hopsBefore(req)
	if len(via) > 0 && isLogin(req) && !sameOrigin(via[0].URL, req.URL) {
		closeBody(req.Body)
		return nil, fmt.Errorf("token server %s redirects the login to %s, which is refused", via[0].URL.Host, req.URL.Host)
	}
	sent := req.Clone(req.Context())
	sent.URL.User = nil // the client has made a header of it
	sent.Header.Del("Referer")
	if len(via) > 0 {
		setCredentials(sent, req.URL.User != nil, via)
	}
	resp, err := t.inner.RoundTrip(sent)
	var malformed textproto.ProtocolError // which repeats the header that it is about
	switch {
	case errors.As(err, &malformed):
		return nil, fmt.Errorf("malformed response from %s", req.URL.Host)
	case err != nil:
		return nil, err
	}
	if resp.Request == nil {
		resp.Request = sent
	}
	if err := checkLocation(resp, append(via, sent)); err != nil {
		return nil, errors.Join(err, resp.Body.Close())
	}
	return resp, nil
}

// setCredentials leaves a request that was redirected what it may carry.
func setCredentials(req *http.Request, inAddress bool, via []*http.Request) {
	const header = "Authorization"
	if inAddress {
		req.Header.Del(header)
	}
	if sameOrigin(via[0].URL, req.URL) {
		if value := via[0].Header.Get(header); value != "" && req.Header.Get(header) == "" {
			req.Header.Set(header, value)
		}
		return
	}
	if slices.ContainsFunc(via, func(hop *http.Request) bool {
		return !sameOrigin(hop.URL, req.URL) && hop.Header.Get(header) == req.Header.Get(header)
	}) {
		req.Header.Del(header)
	}
}

// hopsBefore returns the requests that were redirected until req was made, the
// first one first.
func hopsBefore(req *http.Request) []*http.Request {
	var via []*http.Request
	for req.Response != nil && req.Response.Request != nil {
		req = req.Response.Request
		via = append(via, req)
	}
	slices.Reverse(via)
	return via
}

// origin is the request that was redirected to req, or req itself.
func origin(req *http.Request) *http.Request {
	if via := hopsBefore(req); len(via) > 0 {
		return via[0]
	}
	return req
}

// sameOrigin reports whether two addresses have scheme, host and port in common.
func sameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case strings.EqualFold(u.Scheme, "http"):
		return "80"
	}
	return "443"
}

// isLogin reports whether a request has a login in its body.
func isLogin(req *http.Request) bool {
	return req.Body != nil && req.Body != http.NoBody && strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

// checkLocation looks at where an answer leads, if another request follows, before
// anything else does: an address that cannot be parsed would be repeated in an error,
// signature included, and nothing else ends a chain of redirects.
func checkLocation(resp *http.Response, all []*http.Request) error {
	to := resp.Header.Get("Location")
	if to == "" {
		return nil
	}
	last := all[len(all)-1]
	isRedirect := false
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		isRedirect = true
	}
	isUpload := last.Method == http.MethodPost || last.Method == http.MethodPatch
	if _, err := last.URL.Parse(to); err != nil && (isRedirect || isUpload) {
		return fmt.Errorf("invalid Location header from %s", last.URL.Host)
	}
	if !isRedirect || len(all) < redirectLimit {
		return nil
	}
	var hosts []string
	for _, hop := range all {
		if host := hop.URL.Host; len(hosts) == 0 || hosts[len(hosts)-1] != host {
			hosts = append(hosts, host)
		}
	}
	return fmt.Errorf("%d redirects in a row (%s)", redirectLimit, strings.Join(hosts, " -> "))
}
