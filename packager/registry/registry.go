// Package registry configures go-containerregistry for the packager's sources and sinks:
// credentials, plain HTTP, timeouts, retries, limits, and readable errors.
package registry

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"laminate/packager/location"
)

// DefaultStall is the default of [Options.Stall].
const DefaultStall = 60 * time.Second

// userAgent is sent to registries, before the library's own name.
const userAgent = "laminate"

// Options configure access to registries. The zero value works: credentials from the Docker config,
// and TLS except for loopback.
type Options struct {
	// Keychain finds credentials; nil means authn.DefaultKeychain.
	Keychain authn.Keychain
	// Pool is what the requests of a run share; nil means that each call of Remote, Retrying and
	// Session has one of its own.
	Pool *Pool
	// Transport sends all requests; nil means that of Pool or, without it, remote.DefaultTransport.
	// It is always wrapped by [Options.Guard].
	Transport http.RoundTripper
	// Insecure lists hosts, as host or host:port, that may be accessed without TLS. A host without
	// a port matches any port. Loopback addresses and "localhost" are always allowed.
	Insecure []string
	// Stall is how long a registry may move no byte before the request fails; 0 means DefaultStall,
	// negative means forever. The rate of transfers is measured over the same time: see
	// [StallError].
	Stall time.Duration
	// Pause is the delay before the second attempt; it doubles with each further one. 0 means 250
	// ms, which is 3.75 s for all five attempts.
	Pause time.Duration
	// DocumentsOnly limits every response to 16 MiB, including blobs.
	DocumentsOnly bool
}

// ParseReference parses an image reference, with Docker's defaults (index.docker.io, library/,
// latest). Plain HTTP is used for registries in Insecure that do not support TLS.
func (o Options) ParseReference(s string) (name.Reference, error) {
	if err := location.NoSecret(s); err != nil {
		return nil, fmt.Errorf("reference %q: %w", location.Redact(s), err)
	}
	ref, err := name.ParseReference(s)
	if err != nil {
		return nil, fmt.Errorf("reference %q: %w", s, err)
	}
	if !o.mayBePlain(ref.Context().RegistryStr()) {
		return ref, nil
	}
	return name.ParseReference(s, name.Insecure)
}

// Remote returns the options for all requests of package remote. Requests end with ctx, even while
// waiting for a retry (see [Options.Retrying]). A blob whose connection breaks is resumed over a
// new one, with a new token if the first has expired. All other responses (manifests, indexes, tag
// lists) are limited to 16 MiB. The pool answers what it knows.
func (o Options) Remote(ctx context.Context) []remote.Option {
	keychain := o.Keychain
	if keychain == nil {
		keychain = authn.DefaultKeychain
	}
	o = o.pooled()
	resuming := &resuming{inner: o.Retrying(), pause: o.pause(), keychain: keychain}
	return []remote.Option{
		remote.WithContext(ctx),
		remote.WithAuthFromKeychain(keychain),
		remote.WithTransport(o.Pool.sharing(&limiting{inner: resuming, all: o.DocumentsOnly})),
		remote.WithUserAgent(userAgent),
		// The library counts blobs until they are closed, four by default. Those of a layer are read
		// in an order, and would wait for each other. The pool limits requests.
		remote.WithJobs(math.MaxInt16),
		// The library's own retries cannot be interrupted, ignore Retry-After, and treat a mount
		// that fails temporarily as refused.
		remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
		remote.WithRetryStatusCodes(),
	}
}

// Retrying is [Options.Guard] with the pool's limit of concurrent requests, and with retries:
// transient failures are retried, five attempts in all, with exponential backoff or after the time
// in Retry-After. A host that answers 429 to some requests and serves others gets 15 attempts.
// Other errors (401, 403, 404) are final. Requests with the content of a blob return an [AgainError]
// instead.
func (o Options) Retrying() http.RoundTripper {
	o = o.pooled()
	return &retrying{inner: &pacing{o.Pool, o.Guard()}, pool: o.Pool, pause: o.pause()}
}

func (o Options) pause() time.Duration { return cmp.Or(o.Pause, firstPause) }

// Guard is the transport between the library and the network, for every request, including
// redirects and those to token servers. It
//   - decides which host gets which credentials (see [hops]), and ends chains
//     of redirects,
//   - refuses plain HTTP to hosts that may not be spoken to so, whatever
//     led there: the library's own idea of private networks, or a redirect,
//   - ends requests whose peer is silent or too slow with a [StallError],
//   - cuts the bodies of error responses short.
func (o Options) Guard() http.RoundTripper {
	g := &guard{inner: o.Transport, plain: o.mayBePlain, stall: cmp.Or(o.Stall, DefaultStall)}
	if g.inner == nil && o.Pool != nil && o.Pool.transport != nil {
		g.inner = o.Pool.transport
	}
	if g.inner == nil {
		g.inner = remote.DefaultTransport
	}
	return &hops{g}
}

// mayBePlain reports whether a host, with or without port, may be accessed without TLS.
func (o Options) mayBePlain(hostport string) bool {
	host := hostOnly(hostport)
	if host == "localhost" {
		return true
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		return true
	}
	return slices.ContainsFunc(o.Insecure, func(named string) bool {
		return named == hostport || named == host || named == "["+host+"]"
	})
}

// hostOnly removes the port, and the brackets of an IPv6 address.
func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	if len(hostport) > 1 && hostport[0] == '[' && hostport[len(hostport)-1] == ']' {
		return hostport[1 : len(hostport)-1]
	}
	return hostport
}
