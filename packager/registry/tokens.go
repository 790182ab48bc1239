package registry

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// tokenLife is how long a token is good if its server does not say (Docker's token
	// specification, "expires_in").
	tokenLife = time.Minute
	// tokenLimit is the largest response of a token server that is kept.
	tokenLimit = 64 << 10
)

// tokens are the responses of token servers, by the request with its credentials.
type tokens struct {
	flights flights[secret, *http.Response]

	mu     sync.Mutex
	given  map[secret]*given
	owners map[secret]secret // the login with which a token was got, by the token
}

// given is a response with a token.
type given struct {
	resp  *http.Response
	until time.Time
	has   []string // its tokens
}

// tokensTripper reuses tokens until a tenth before they expire, or until a registry refuses one.
// Concurrent requests for the same token wait for the first. Only equal requests share one: with the
// same server, scopes and credentials.
type tokensTripper struct {
	pool  *Pool
	inner http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *tokensTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	known := &t.pool.tokens
	key, is := tokenKey(req)
	if !is {
		resp, err := t.inner.RoundTrip(req)
		if token, has := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer "); has && err == nil && resp.StatusCode == http.StatusUnauthorized {
			known.forget(token)
		}
		return resp, err
	}
	if resp := known.get(key); resp != nil {
		closeBody(req.Body)
		return copyOf(resp, req), nil
	}
	own := false
	resp, err := known.flights.do(req.Context(), key, func() (*http.Response, error) {
		if resp := known.get(key); resp != nil {
			return resp, nil
		}
		own = true
		resp, err := t.inner.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		if resp, err = withBody(req.Context(), resp); err == nil {
			known.keep(key, resp)
		}
		return resp, err
	})
	if !own {
		closeBody(req.Body)
	}
	if err != nil {
		return nil, err
	}
	return copyOf(resp, req), nil
}

// tokenKey reports whether a request asks for a token, and returns what makes it another request.
func tokenKey(req *http.Request) (key secret, is bool) {
	if req.Response != nil || strings.HasPrefix(req.URL.Path, "/v2/") {
		return key, false
	}
	body := ""
	switch {
	case req.Method == http.MethodGet && req.URL.Query().Has("scope") && req.URL.Query().Has("service"):
	case req.Method == http.MethodPost && isLogin(req) && req.GetBody != nil:
		r, err := req.GetBody()
		if err != nil {
			return key, false
		}
		defer r.Close()
		all, err := io.ReadAll(io.LimitReader(r, tokenLimit))
		if err != nil {
			return key, false
		}
		body = string(all)
	default:
		return key, false
	}
	return hashed(req.Method, req.URL.String(), req.Header.Get("Authorization"), body), true
}

func (t *tokens) get(key secret) *http.Response {
	t.mu.Lock()
	defer t.mu.Unlock()
	if g := t.given[key]; g != nil && time.Now().Before(g.until) {
		return g.resp
	}
	return nil
}

// keep keeps a response with a token.
func (t *tokens) keep(key secret, resp *http.Response) {
	body, is := resp.Body.(*memory)
	if !is || body.err != nil || resp.StatusCode != http.StatusOK || len(body.content) > tokenLimit {
		return
	}
	var d struct {
		Token       string  `json:"token"`
		AccessToken string  `json:"access_token"`
		ExpiresIn   float64 `json:"expires_in"`
	}
	if json.Unmarshal(body.content, &d) != nil || cmp.Or(d.Token, d.AccessToken) == "" {
		return
	}
	life := tokenLife
	if d.ExpiresIn > 0 && d.ExpiresIn < 1e6 {
		life = time.Duration(d.ExpiresIn * float64(time.Second))
	}
	g := &given{resp: resp, until: time.Now().Add(life * 9 / 10), has: []string{d.Token, d.AccessToken}}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.given == nil {
		t.given, t.owners = map[secret]*given{}, map[secret]secret{}
	}
	t.given[key] = g
	owner := key
	if resp.Request.Method == http.MethodGet {
		owner = hashed(originOf(resp.Request.URL), resp.Request.Header.Get("Authorization"))
	}
	for _, token := range g.has {
		t.owners[hashed(token)] = owner
	}
}

// forget forgets a token that a registry has refused.
func (t *tokens) forget(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, g := range t.given {
		if g.has[0] == token || g.has[1] == token {
			delete(t.given, key)
		}
	}
}

// login returns what tells the login of a request from others: its credentials, or those with which
// its token was got.
func (t *tokens) login(req *http.Request) secret {
	authorization := req.Header.Get("Authorization")
	token, has := strings.CutPrefix(authorization, "Bearer ")
	if !has {
		return hashed(authorization)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if owner, known := t.owners[hashed(token)]; known {
		return owner
	}
	return hashed(authorization)
}
