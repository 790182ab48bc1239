package registry

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// leastJobs is the lowest limit of concurrent requests to a host that refuses some with 429.
const leastJobs = 4

// pace limits the concurrent requests to one host. A request counts until its response begins. Those
// that send a blob count apart: what they send may come from the same host, and must not wait for
// itself. There are never more of them than the limit was at first.
//
// While requests wait, the limit grows by one with each successful response. If the host answers 429,
// the limit is halved, at most once for requests that were under way at the same time. From then on
// it grows by one with as many successful responses as it allows requests.
type pace struct {
	mu          sync.Mutex
	first, most int // the limit at first, and at most
	limit       int
	asking      line
	sending     line
	well        int // successful responses since the limit changed
	halved      int // how often the limit was halved
	served      int // responses other than 429
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
	halved, err := p.enter(req.Context(), l)
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

// enter waits until a request may be sent. It returns how often the limit was halved before.
func (p *pace) enter(ctx context.Context, l *line) (halved int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.inside < p.room(l) {
		l.inside++
		return p.halved, nil
	}
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
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
	switch {
	case resp == nil:
	case resp.StatusCode != http.StatusTooManyRequests:
		p.served++
		if p.well++; p.limit < p.most && (p.well >= p.limit || p.halved == 0 && len(p.asking.waiting) > 0) {
			p.limit, p.well = p.limit+1, 0
		}
	case halved == p.halved:
		p.limit, p.well = max(p.limit/2, min(leastJobs, p.most)), 0
		p.halved++
	}
	p.admit(&p.asking)
	p.admit(&p.sending)
}

// admit lets those in that wait, as far as there is room.
func (p *pace) admit(l *line) {
	for len(l.waiting) > 0 && l.inside < p.room(l) {
		l.inside++
		close(l.waiting[0])
		l.waiting = l.waiting[1:]
	}
}

// responses returns how many responses the host has sent, without those with 429.
func (p *pace) responses() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.served
}
