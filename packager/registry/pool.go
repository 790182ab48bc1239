package registry

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// DefaultJobs is how many requests to one host are under way at the same time, unless [NewPool] says
// otherwise. MostJobs is how many they become if there is more to ask and the host answers none of
// them with 429: small documents and mounts, of which a builder needs hundreds, take a round trip each.
const (
	DefaultJobs = 16
	MostJobs    = 32
)

// Pool is what the requests of a run share, for each host: connections, what it requires to log in,
// tokens, documents that were read, and the limit of concurrent requests. Hosts are kept apart by
// scheme, name and port, and logins by their credentials. It is safe for concurrent use.
type Pool struct {
	transport *http.Transport
	jobs      int // at first
	most      int
	pings     pings
	tokens    tokens
	reads     reads

	mu    sync.Mutex
	paces map[string]*pace // by host
}

// NewPool returns a pool that sends at most this many requests to one host at the same time; 0 means
// DefaultJobs, and up to MostJobs if the host lets it.
func NewPool(jobs int) *Pool {
	p := newPool(jobs)
	p.transport = newTransport(p.most)
	return p
}

// newPool returns a pool without connections.
func newPool(jobs int) *Pool {
	most := jobs
	if jobs <= 0 {
		jobs, most = DefaultJobs, MostJobs
	}
	return &Pool{jobs: jobs, most: most, paces: map[string]*pace{}}
}

// Close closes connections that are not in use.
func (p *Pool) Close() { p.transport.CloseIdleConnections() }

// writeBuffer has room for a chunk of a body of unknown length, which net/http sends in chunks of 32
// KiB: with less, the length and the end of each chunk take writes of their own.
const writeBuffer = 64 << 10

// readBuffer is how much of a response is read ahead over HTTP/2. Over HTTP/1, the kernel keeps what
// waits; here it is memory of the process, where net/http would keep 4 MiB of each blob that was opened
// before its turn. At a round trip of 50 ms it lets 168 Mbit/s through for each blob; several are read
// at the same time.
const readBuffer = 1 << 20

// newTransport returns the library's transport, which speaks HTTP/2 where TLS offers it, with as many
// idle connections as there can be requests: opening a connection again costs up to three round
// trips.
func newTransport(jobs int) *http.Transport {
	t, is := remote.DefaultTransport.(*http.Transport)
	if !is {
		t = http.DefaultTransport.(*http.Transport)
	}
	t = t.Clone()
	t.MaxIdleConns = 0 // no limit over all hosts
	t.MaxIdleConnsPerHost = 4 * jobs
	t.WriteBufferSize = writeBuffer
	t.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: readBuffer}
	return t
}

// pooled returns the options with a pool. Without one, they get one of their own, which has no
// connections.
func (o Options) pooled() Options {
	if o.Pool == nil {
		o.Pool = newPool(0)
	}
	return o
}

// sharing lets a pool answer what it can of the requests to a transport.
func (p *Pool) sharing(inner http.RoundTripper) http.RoundTripper {
	return &readsTripper{pool: p, inner: &tokensTripper{pool: p, inner: &pingsTripper{known: &p.pings, inner: inner}}}
}

// pace returns the pace of the requests to a host.
func (p *Pool) pace(at *url.URL) *pace {
	key := originOf(at)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paces[key] == nil {
		p.paces[key] = newPace(p.jobs, p.most)
	}
	return p.paces[key]
}

// originOf returns scheme, host and port of a URL.
func originOf(u *url.URL) string {
	return strings.ToLower(u.Scheme) + "://" + strings.ToLower(u.Hostname()) + ":" + port(u)
}

// secret is the hash of something that must not be kept as it is.
type secret [sha256.Size]byte

func hashed(parts ...string) secret { return sha256.Sum256([]byte(strings.Join(parts, "\x00"))) }

// flights let concurrent callers with the same key share one call.
type flights[K comparable, V any] struct {
	mu   sync.Mutex
	over map[K]*flight[V]
}

type flight[V any] struct {
	landed chan struct{}
	value  V
	err    error
	again  bool // the caller gave up, which says nothing to others
}

// do returns the result of call, or that of a call for the same key that is under way. Errors are
// shared too, except that of a caller whose context has ended.
func (f *flights[K, V]) do(ctx context.Context, key K, call func() (V, error)) (V, error) {
	for {
		f.mu.Lock()
		other := f.over[key]
		if other == nil {
			return f.fly(ctx, key, call)
		}
		f.mu.Unlock()
		select {
		case <-ctx.Done():
			var none V
			return none, ctx.Err()
		case <-other.landed:
			if !other.again {
				return other.value, other.err
			}
		}
	}
}

// fly calls for all. It is called with the lock held, and releases it.
func (f *flights[K, V]) fly(ctx context.Context, key K, call func() (V, error)) (V, error) {
	own := &flight[V]{landed: make(chan struct{}), again: true}
	if f.over == nil {
		f.over = map[K]*flight[V]{}
	}
	f.over[key] = own
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.over, key)
		close(own.landed)
	}()
	own.value, own.err = call()
	own.again = own.err != nil && ctx.Err() != nil
	return own.value, own.err
}
