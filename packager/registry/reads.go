package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// documentShare is the size of the largest document that is kept, and documentsShare that of all.
	documentShare  = 1 << 20
	documentsShare = 16 << 20
	// tagAge is how long the target of a tag is used again by readers that allow it.
	tagAge = 30 * time.Second
)

type recentTags struct{}

// RecentTags returns a context in which the target of a tag may be one that this run has read before,
// within the last 30 seconds: for phases of a run that look at the same image before it is written.
// Other reads of tags reach the registry.
func RecentTags(ctx context.Context) context.Context {
	return context.WithValue(ctx, recentTags{}, true)
}

// reads are the documents that a run has read: manifests and small blobs by digest, verified, and
// what tags point to. The oldest go first if there are too many.
type reads struct {
	flights flights[wanted, *http.Response]

	mu      sync.Mutex
	kept    map[wanted]*kept
	order   []wanted
	size    int
	written map[string]bool // origin and path of manifests that this run has written or deleted
}

// wanted is what a request asks for, and with which login.
type wanted struct {
	login          secret
	origin, path   string
	accept         string
	digest         string // "" for a tag
	isManifest     bool
	isRecentEnough bool // the reader allows RecentTags
}

type kept struct {
	resp *http.Response // its body is in memory
	at   time.Time
}

// readsTripper answers reads of documents that the run has. What the run itself has written is always
// read from the registry, so that the registry shows whether it has arrived.
type readsTripper struct {
	pool  *Pool
	inner http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *readsTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	known := &t.pool.reads
	d, is := t.documentOf(origin(req))
	if !is || req.Method != http.MethodGet {
		if is && d.isManifest && req.Method != http.MethodHead {
			known.wrote(d)
		}
		return t.inner.RoundTrip(req)
	}
	if !known.mayKeep(d) {
		return t.inner.RoundTrip(req)
	}
	if req.Response != nil { // redirected: who waits, waits for the whole chain
		return t.read(req, d)
	}
	if resp := known.get(d); resp != nil {
		return copyOf(resp, req), nil
	}
	own := false
	resp, err := known.flights.do(req.Context(), d, func() (*http.Response, error) {
		if resp := known.get(d); resp != nil {
			return resp, nil
		}
		own = true
		return t.read(req, d)
	})
	switch {
	case err != nil || own:
		return resp, err
	case isShared(resp):
		return copyOf(resp, req), nil
	}
	return t.read(req, d) // too large to be shared, or redirected
}

// isShared reports whether a response has all of its body in memory.
func isShared(resp *http.Response) bool {
	_, is := resp.Body.(*memory)
	return is
}

// documentOf returns what a request asks for.
func (t *readsTripper) documentOf(req *http.Request) (d wanted, is bool) {
	name, within := strings.CutPrefix(req.URL.Path, "/v2/")
	if !within || req.Header.Get("Range") != "" || req.URL.RawQuery != "" {
		return d, false
	}
	reference := ""
	if at := strings.LastIndex(name, "/manifests/"); at > 0 {
		d.isManifest, reference = true, name[at+len("/manifests/"):]
	} else if at := strings.LastIndex(name, "/blobs/sha256:"); at > 0 {
		reference = name[at+len("/blobs/"):]
	} else {
		return d, false
	}
	if strings.HasPrefix(reference, "sha256:") {
		d.digest = reference
	} else if strings.Contains(reference, ":") {
		return d, false // another algorithm
	}
	d.login, d.origin, d.path = t.pool.tokens.login(req), originOf(req.URL), req.URL.Path
	d.accept = strings.Join(req.Header.Values("Accept"), ",")
	d.isRecentEnough = d.digest == "" && req.Context().Value(recentTags{}) != nil
	return d, true
}

// read reads a document, and keeps it if it is right.
func (t *readsTripper) read(req *http.Request, d wanted) (*http.Response, error) {
	resp, err := t.inner.RoundTrip(req)
	switch {
	case err != nil || resp.Uncompressed:
		return resp, err
	case resp.StatusCode == http.StatusNotFound && d.digest == "":
	case resp.StatusCode != http.StatusOK:
		return resp, nil
	case resp.ContentLength > documentShare || resp.ContentLength < 0 && !d.isManifest:
		return resp, nil
	}
	if resp, err = withBody(req.Context(), resp); err == nil {
		t.pool.reads.keep(d, resp)
	}
	return resp, err
}

// mayKeep reports whether a document may be kept: not one that this run has written, and a tag only
// for readers that allow it.
func (r *reads) mayKeep(d wanted) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.written[d.origin+d.path] && (d.digest != "" || d.isRecentEnough)
}

// wrote notes that this run writes or deletes a manifest.
func (r *reads) wrote(d wanted) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.written == nil {
		r.written = map[string]bool{}
	}
	r.written[d.origin+d.path] = true
}

func (r *reads) get(d wanted) *http.Response {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.kept[d]
	if k == nil || r.written[d.origin+d.path] || d.digest == "" && time.Since(k.at) > tagAge {
		return nil
	}
	return k.resp
}

// keep keeps a document whose digest is right.
func (r *reads) keep(d wanted, resp *http.Response) {
	body, is := resp.Body.(*memory)
	if !is || body.err != nil || len(body.content) > documentShare {
		return
	}
	if sum := sha256.Sum256(body.content); d.digest != "" && d.digest != "sha256:"+hex.EncodeToString(sum[:]) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept == nil {
		r.kept = map[wanted]*kept{}
	}
	if old := r.kept[d]; old != nil {
		r.size -= sizeOf(old.resp)
	} else {
		r.order = append(r.order, d)
	}
	r.kept[d] = &kept{resp, time.Now()}
	for r.size += len(body.content); r.size > documentsShare; r.order = r.order[1:] {
		r.size -= sizeOf(r.kept[r.order[0]].resp)
		delete(r.kept, r.order[0])
	}
}

func sizeOf(resp *http.Response) int { return len(resp.Body.(*memory).content) }
