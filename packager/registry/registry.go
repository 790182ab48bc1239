// Package registry is how the packager's sources and sinks speak to image
// registries: which hosts may be spoken to in the clear, how long a silent one
// is waited for, what is tried again, and how errors are told to a person. The
// protocol itself is go-containerregistry's.
package registry

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"laminate/packager/location"
)

// DefaultStall is how long a registry may stay silent where Options say nothing else.
const DefaultStall = 60 * time.Second

// userAgent is what registries see of us, before the library's own name.
const userAgent = "laminate"

// Options say how to speak to registries. The zero value works: credentials
// from the Docker config, TLS everywhere but on this machine.
type Options struct {
	// Keychain finds credentials; nil is authn.DefaultKeychain.
	Keychain authn.Keychain
	// Transport carries every request; nil is remote.DefaultTransport. It is
	// wrapped by the guard of [Options.Guard], never used bare.
	Transport http.RoundTripper
	// Insecure names hosts, as host or host:port, that may be spoken to
	// without TLS. A host without a port is meant with any port. The loopback
	// addresses and "localhost" need no mention.
	Insecure []string
	// Stall is how long a registry may neither take nor give a byte before
	// the request fails; 0 is DefaultStall, negative is for ever. It is also
	// the time over which the rate of a transfer is measured: see [StallError].
	Stall time.Duration
	// Pause is how long the second attempt waits; each later one waits twice as
	// long. 0 is 250 ms, which makes 3.75 s for all five attempts.
	Pause time.Duration
	// DocumentsOnly limits every answer to 16 MiB, blobs included.
	DocumentsOnly bool
}

// ParseReference reads an image reference, with Docker's defaults for what is
// left out (index.docker.io, library/, latest). The registry may have a port;
// one that Options name insecure is spoken to in the clear where it has no TLS.
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

// Remote returns the options under which every request of package remote has to
// be made. They end when ctx does, at once also where they wait to be tried
// again (see [Options.Retrying]). A blob whose connection breaks while it is
// read is resumed over another one, with a new token where the first has
// expired. Every other answer (manifests, indexes, tag lists) is limited to 16 MiB.
func (o Options) Remote(ctx context.Context) []remote.Option {
	keychain := o.Keychain
	if keychain == nil {
		keychain = authn.DefaultKeychain
	}
	return []remote.Option{
		remote.WithContext(ctx),
		remote.WithAuthFromKeychain(keychain),
		remote.WithTransport(&limiting{inner: &resuming{inner: o.Retrying(), pause: o.pause(), keychain: keychain}, all: o.DocumentsOnly}),
		remote.WithUserAgent(userAgent),
		// The library's own attempts cannot be interrupted, and know nothing
		// of Retry-After or of what is lost when a mount fails for a moment.
		remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
		remote.WithRetryStatusCodes(),
	}
}

// Retrying is [Options.Guard] with retries: what breaks, or what the server
// refuses for the moment, is asked for up to five times, after pauses that
// double, or as long as Retry-After says. Other refusals (401, 403, 404) are
// final. Requests that carry the content of a blob end in an [AgainError] instead.
func (o Options) Retrying() http.RoundTripper {
	return &retrying{inner: o.Guard(), pause: o.pause()}
}

func (o Options) pause() time.Duration { return cmp.Or(o.Pause, firstPause) }

// Guard is the transport between the library and the network. Every request
// goes through it, those that follow redirects and those to token servers
// included. It
//   - decides which host gets which credentials (see [hops]), and ends chains
//     of redirects,
//   - refuses plain HTTP to hosts that may not be spoken to so, whatever
//     led there: the library's own idea of private networks, or a redirect,
//   - ends requests whose peer is silent or too slow with a [StallError],
//   - cuts the bodies of error responses short.
func (o Options) Guard() http.RoundTripper {
	g := &guard{inner: o.Transport, plain: o.mayBePlain, stall: cmp.Or(o.Stall, DefaultStall)}
	if g.inner == nil {
		g.inner = remote.DefaultTransport
	}
	return &hops{g}
}

// mayBePlain reports whether a host, with or without port, may be spoken to without TLS.
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

// hostOnly takes the port and the brackets of an IPv6 address off.
func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	if len(hostport) > 1 && hostport[0] == '[' && hostport[len(hostport)-1] == ']' {
		return hostport[1 : len(hostport)-1]
	}
	return hostport
}
