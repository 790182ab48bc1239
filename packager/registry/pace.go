package registry

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// leastJobs is the lowest limit of concurrent requests to a host that refuses most with 429.
	leastJobs = 4
	// lately is how long ago a host must have served a request for its 429 to pass.
	lately = 5 * time.Second
)

// pace limits the concurrent requests to one host. A request counts until its response begins. Those
// that send a blob count apart: what they send may come from the same host, and must not wait for
// itself. There are never more of them than the limit was at first.
//
// While requests wait, the limit grows by one with each successful response. It is what it was at
// first again if the host answers 429, and it is halved, at most once for requests that were under way
// at the same time, if the host answers that to most of them. From then on it grows by one with as many
// successful responses as it allows requests.
type pace struct {
	mu          sync.Mutex
	first, most int // the limit at first, and at most
	limit       int
	asking      line
	sending     line
	well        int       // successful responses since the limit changed
	halved      int       // how often the limit was halved
	careful     bool      // the host has answered 429
	refused     float64   // share of 429 among the last responses, the latest of which count most
	served      time.Time // of the last response other than 429
}

// line is one of the two kinds of requests.
type line struct {
	inside  int
	waiting []chan struct{} // in the order in which they came
}

func newPace(first, most int) *pace { return &pace{first: first, most: most, limit: first} }

// room returns how many requests of a line may be under way.
func (p *pace) room(l *line) int {
	if l == &p.sending {
		return min(p.limit, p.first)
	}
	return p.limit
}

// pacing sends requests at the pace of their host.
type pacing struct {
	pool  *Pool
	inner http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *pacing) RoundTrip(req *http.Request) (*http.Response, error) {
	p := t.pool.pace(req.URL)
	l := &p.asking
	if sendsBlob(req) {
		l = &p.sending
	}
	halved, err := p.enter(req.Context(), l, req.Context().Value(again{}) != nil)
	if err != nil {
		closeBody(req.Body)
		return nil, err
	}
	resp, err := t.inner.RoundTrip(req)
	p.leave(l, resp, halved)
	return resp, err
}

// sendsBlob reports whether a request has the content of a blob.
func sendsBlob(req *http.Request) bool {
	return req.Body != nil && req.Body != http.NoBody && (req.Method == http.MethodPatch ||
		req.Method == http.MethodPut && !strings.Contains(req.URL.Path, "/manifests/"))
}

// again marks the context of a request that was sent before.
type again struct{}

// enter waits until a request may be sent. One that was sent before precedes all that wait, as it did
// then. It returns how often the limit was halved before.
func (p *pace) enter(ctx context.Context, l *line, again bool) (halved int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.inside < p.room(l) {
		l.inside++
		return p.halved, nil
	}
	turn := make(chan struct{})
	if again {
		l.waiting = slices.Insert(l.waiting, 0, turn)
	} else {
		l.waiting = append(l.waiting, turn)
	}
	p.mu.Unlock()
	select {
	case <-turn:
	case <-ctx.Done():
	}
	p.mu.Lock()
	if at := slices.Index(l.waiting, turn); at >= 0 {
		l.waiting = slices.Delete(l.waiting, at, at+1)
		return 0, ctx.Err()
	}
	return p.halved, nil
}

// leave ends the turn of a request, and learns from the response to it, or nil.
func (p *pace) leave(l *line, resp *http.Response, halved int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.inside--
	is429 := resp != nil && resp.StatusCode == http.StatusTooManyRequests
	if resp != nil {
		p.refused *= 15. / 16
	}
	if is429 {
		p.refused += 1. / 16
	}
	switch {
	case resp == nil:
	case !is429:
		p.served = time.Now()
		if p.well++; p.limit < p.most && (p.well >= p.limit || !p.careful && len(p.asking.waiting) > 0) {
			p.limit, p.well = p.limit+1, 0
		}
	default:
		p.refuse(halved)
	}
	p.admit(&p.asking)
	p.admit(&p.sending)
}

// refuse learns from a 429. The limit was halved so often when the request was sent.
func (p *pace) refuse(halved int) {
	p.careful = true
	switch {
	case halved != p.halved: // this has been learnt
		return
	case p.refused >= .5:
		p.limit = max(p.limit/2, min(leastJobs, p.most))
		p.halved++
	default:
		p.limit = min(p.limit, p.first)
	}
	p.well = 0
}

// admit lets those in that wait, as far as there is room.
func (p *pace) admit(l *line) {
	for len(l.waiting) > 0 && l.inside < p.room(l) {
		l.inside++
		close(l.waiting[0])
		l.waiting = l.waiting[1:]
	}
}

// isServing reports whether the host has lately served requests, and whether it serves most of them.
func (p *pace) isServing() (some, most bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	some = time.Since(p.served) < lately
	return some, some && p.refused < .5
}
