package registry

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// wideLimit is how many bytes of scopes are added to a request for a token, whose URL servers limit.
const wideLimit = 4000

// wish is a request for a token.
type wish struct {
	key    secret   // of the request
	base   secret   // of the request without its scopes: with the same server, service and credentials
	scopes []string // such as repository:acme/x:pull
}

// wishOf reports whether a request asks for a token, and returns what makes it another request.
func wishOf(req *http.Request) (w wish, is bool) {
	if req.Response != nil || strings.HasPrefix(req.URL.Path, "/v2/") {
		return w, false
	}
	at, query := *req.URL, req.URL.Query()
	var form url.Values
	switch {
	case req.Method == http.MethodGet && query.Has("scope") && query.Has("service"):
		w.scopes = split(query["scope"])
		query.Del("scope")
	case req.Method == http.MethodPost && isLogin(req) && req.GetBody != nil:
		var err error
		if form, err = formOf(req); err != nil {
			return w, false
		}
		w.scopes = split(form["scope"])
		form.Del("scope")
	default:
		return w, false
	}
	at.RawQuery = query.Encode()
	w.base = hashed(req.Method, at.String(), req.Header.Get("Authorization"), form.Encode())
	w.key = hashed(string(w.base[:]), strings.Join(w.scopes, " "))
	return w, true
}

// formOf reads the form in a request, which stays readable.
func formOf(req *http.Request) (url.Values, error) {
	r, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	all, err := io.ReadAll(io.LimitReader(r, tokenLimit))
	if err != nil {
		return nil, err
	}
	return url.ParseQuery(string(all))
}

func split(scopes []string) []string { return strings.Fields(strings.Join(scopes, " ")) }

// covers reports whether a token for the scopes in has is good for those in wants.
func covers(has, wants []string) bool {
	return !slices.ContainsFunc(wants, func(want string) bool {
		what, actions := cutScope(want)
		return !slices.ContainsFunc(has, func(one string) bool {
			is, allows := cutScope(one)
			return is == what && !slices.ContainsFunc(actions, func(a string) bool { return !slices.Contains(allows, a) })
		})
	})
}

// cutScope cuts a scope into type and name, and actions.
func cutScope(scope string) (what string, actions []string) {
	at := strings.LastIndex(scope, ":")
	return scope[:max(at, 0)], strings.Split(scope[at+1:], ",")
}

// isPull reports whether a scope is for reading a repository, and nothing else.
func isPull(scope string) bool {
	what, actions := cutScope(scope)
	return strings.HasPrefix(what, "repository:") && slices.Equal(actions, []string{"pull"})
}

// widened returns a request for a token to push to a repository and to mount from others, with the
// scopes of all repositories that were read with the same credentials, or nil. The library asks for a
// new token with each repository that it mounts from, one after the other; this one is good for all of
// them.
func (t *tokens) widened(req *http.Request, w wish) *http.Request {
	if req.Method != http.MethodGet || len(w.scopes) < 2 || !slices.ContainsFunc(w.scopes, isPull) || slices.IndexFunc(w.scopes, isPull) == 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	scopes, room := slices.Clone(w.scopes), wideLimit
	for _, scope := range t.pulls[w.base] {
		if room -= len(scope); room >= 0 && !t.narrow[w.base] && !covers(scopes, []string{scope}) {
			scopes = append(scopes, scope)
		}
	}
	if len(scopes) == len(w.scopes) {
		return nil
	}
	wide := req.Clone(req.Context())
	query := wide.URL.Query()
	query["scope"] = scopes
	wide.URL.RawQuery = query.Encode()
	return wide
}
