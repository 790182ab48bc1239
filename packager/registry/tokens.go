package registry

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
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
	owners map[secret]secret   // the login with which a token was got, by the token
	pulls  map[secret][]string // scopes of tokens to read, in the order in which they were given, by wish.base
	narrow map[secret]bool     // wish.base for which wider scopes than asked for are refused
}

// given is a response with a token.
type given struct {
	wish
	resp  *http.Response
	until time.Time
	has   []string // its tokens
	wide  bool     // it is for more than was asked for
}

// tokensTripper reuses tokens until a tenth before they expire, or until a registry refuses one.
// Concurrent requests for the same token wait for the first. Requests share one that have the same
// server and credentials, and ask for its scopes or some of them.
type tokensTripper struct {
	pool  *Pool
	inner http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *tokensTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	known := &t.pool.tokens
	w, is := wishOf(req)
	if !is {
		resp, err := t.inner.RoundTrip(req)
		if token, has := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer "); has && err == nil && resp.StatusCode == http.StatusUnauthorized {
			known.forget(token)
		}
		return resp, err
	}
	if resp := known.get(w); resp != nil {
		closeBody(req.Body)
		return copyOf(resp, req), nil
	}
	own := false
	resp, err := known.flights.do(req.Context(), w.key, func() (*http.Response, error) {
		if resp := known.get(w); resp != nil {
			return resp, nil
		}
		own = true
		if wide := known.widened(req, w); wide != nil {
			if resp, err := t.ask(wide, true); err != nil || resp.StatusCode == http.StatusOK {
				return resp, err
			}
			known.refuse(w.base)
		}
		return t.ask(req, false)
	})
	if !own {
		closeBody(req.Body)
	}
	if err != nil {
		return nil, err
	}
	return copyOf(resp, req), nil
}

// ask asks for a token, and keeps it.
func (t *tokensTripper) ask(req *http.Request, wide bool) (*http.Response, error) {
	w, _ := wishOf(req)
	resp, err := t.inner.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp, err = withBody(req.Context(), resp); err == nil {
		t.pool.tokens.keep(w, resp, wide)
	}
	return resp, err
}

// get returns a response with a token that is good for a wish.
func (t *tokens) get(w wish) *http.Response {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if g := t.given[w.key]; g != nil && now.Before(g.until) {
		return g.resp
	}
	for _, g := range t.given {
		if g.wide && g.base == w.base && now.Before(g.until) && len(w.scopes) > 1 && covers(g.scopes, w.scopes) {
			return g.resp
		}
	}
	return nil
}

// keep keeps a response with a token.
func (t *tokens) keep(w wish, resp *http.Response, wide bool) {
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
	g := &given{wish: w, resp: resp, until: time.Now().Add(life * 9 / 10), has: []string{d.Token, d.AccessToken}, wide: wide}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.given == nil {
		t.given, t.owners, t.pulls = map[secret]*given{}, map[secret]secret{}, map[secret][]string{}
	}
	t.given[w.key] = g
	if len(w.scopes) == 1 && isPull(w.scopes[0]) && !slices.Contains(t.pulls[w.base], w.scopes[0]) {
		t.pulls[w.base] = append(t.pulls[w.base], w.scopes[0])
	}
	owner := w.key
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
			if g.wide {
				t.narrowed(g.base)
			}
		}
	}
}

// refuse notes that a token server gives no token for more than was asked for.
func (t *tokens) refuse(base secret) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.narrowed(base)
}

func (t *tokens) narrowed(base secret) {
	if t.narrow == nil {
		t.narrow = map[secret]bool{}
	}
	t.narrow[base] = true
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
