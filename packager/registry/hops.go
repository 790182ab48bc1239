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

// redirectLimit is how many redirects are followed in a row.
const redirectLimit = 10

// hops decides which credentials a request may send to its host. It is the only place that does:
// every request passes here once per host, whether it comes from the library, a redirect, a retry
// or a resumed read.
//
// Credentials are bound to an origin: scheme, host and port. The first request of a chain of
// redirects has those that its sender chose for its origin. Later hops to the same origin get the
// same, even after a detour; hops to any other origin get none, whether it is a subdomain, another
// port, or the same host over plain HTTP. The exception is a token that the other origin itself
// issued anonymously. User and password in the address of a redirect are ignored. A login in a
// request body (OAuth 2) is never redirected to another origin.
//
// No Referer is sent: it would be the address of the previous hop, including its signature.
type hops struct{ inner http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t *hops) RoundTrip(req *http.Request) (*http.Response, error) {
	via := hopsBefore(req)
	if len(via) > 0 && isLogin(req) && !sameOrigin(via[0].URL, req.URL) {
		closeBody(req.Body)
		return nil, fmt.Errorf("token server %s redirects the login to %s; logins must not be redirected", via[0].URL.Host, req.URL.Host)
	}
	sent := req.Clone(req.Context())
	sent.URL.User = nil // the client has turned it into a header
	sent.Header.Del("Referer")
	if len(via) > 0 {
		setCredentials(sent, req.URL.User != nil, via)
	}
	resp, err := t.inner.RoundTrip(sent)
	var malformed textproto.ProtocolError // which quotes the header
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

// setCredentials sets the credentials that a redirected request may send, and removes others.
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

// hopsBefore returns the requests whose redirects led to req, the first one first.
func hopsBefore(req *http.Request) []*http.Request {
	var via []*http.Request
	for req.Response != nil && req.Response.Request != nil {
		req = req.Response.Request
		via = append(via, req)
	}
	slices.Reverse(via)
	return via
}

// origin returns the first request of a chain of redirects, or req itself.
func origin(req *http.Request) *http.Request {
	if via := hopsBefore(req); len(via) > 0 {
		return via[0]
	}
	return req
}

// sameOrigin reports whether two URLs have the same scheme, host and port.
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

// checkLocation checks the Location of a response that another request follows, before any other
// code does: errors about an invalid address would quote it, including its signature, and nothing
// else ends a chain of redirects.
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
