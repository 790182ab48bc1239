package registry_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/registry"
)

func TestRegistry(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute) // of a busy machine
	RunSpecs(t, "registry")
}

type tripper func(*http.Request) (*http.Response, error)

func (t tripper) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

var _ = Describe("the guard", func() {
	DescribeTable("lets plain HTTP through to", func(ctx SpecContext, host string, insecure []string, want bool) {
		reached := false
		o := registry.Options{Insecure: insecure, Transport: tripper(func(*http.Request) (*http.Response, error) {
			reached = true
			return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
		})}
		for scheme, pass := range map[string]bool{"http": want, "https": true} {
			reached = false
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+host+"/v2/", nil)
			Expect(err).NotTo(HaveOccurred())
			_, err = o.Guard().RoundTrip(req)
			Expect(reached).To(Equal(pass))
			if !pass {
				Expect(err).To(MatchError("refused plain HTTP to " + host + "; allow it with --insecure-registry " + host + ""))
			}
		}
	},
		Entry("localhost", "localhost", nil, true),
		Entry("localhost with a port", "localhost:5000", nil, true),
		Entry("loopback", "127.1.2.3:5000", nil, true),
		Entry("loopback, IPv6", "[::1]:5000", nil, true),
		Entry("not to a public host", "example.com", nil, false),
		Entry("not to a private network", "192.168.1.1:5000", nil, false),
		Entry("not to .local", "registry.local", nil, false),
		Entry("not to a name that begins well", "localhost.example.com", nil, false),
		Entry("not to an address that begins well", "127.0.0.1.example.com:5000", nil, false),
		Entry("a host that is named", "example.com:80", []string{"example.com"}, true),
		Entry("a host that is named with its port", "example.com:80", []string{"x", "example.com:80"}, true),
		Entry("not to another port", "example.com:81", []string{"example.com:80"}, false),
		Entry("an IPv6 host that is named", "[fd00::1]:80", []string{"[fd00::1]"}, true),
	)

	get := func(ctx context.Context, h http.HandlerFunc, o registry.Options) (string, error) {
		server := httptest.NewServer(h)
		DeferCleanup(server.Close)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		Expect(err).NotTo(HaveOccurred())
		resp, err := o.Guard().RoundTrip(req)
		if err != nil {
			return "", err
		}
		body, err := io.ReadAll(resp.Body)
		return string(body), errors.Join(err, resp.Body.Close())
	}

	It("ends a request without a response", func(ctx SpecContext) {
		release := make(chan struct{})
		defer close(release)
		_, err := get(ctx, func(http.ResponseWriter, *http.Request) { <-release }, registry.Options{Stall: 50 * time.Millisecond})
		Expect(err).To(MatchError(ContainSubstring("does not respond: no byte moved for 50ms")))
	})

	It("ends a request whose answer stops in the middle", func(ctx SpecContext) {
		release := make(chan struct{})
		defer close(release)
		body, err := get(ctx, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			<-release
		}, registry.Options{Stall: 50 * time.Millisecond})
		var stall *registry.StallError
		Expect(errors.As(err, &stall)).To(BeTrue())
		Expect(body).To(Equal("half"))
	})

	It("waits for an answer that goes on slowly, and for a slow reader of its own", func(ctx SpecContext) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for range 6 {
				_, _ = io.WriteString(w, "x")
				w.(http.Flusher).Flush()
				time.Sleep(50 * time.Millisecond)
			}
		}))
		DeferCleanup(server.Close)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		Expect(err).NotTo(HaveOccurred())
		resp, err := registry.Options{Stall: 200 * time.Millisecond}.Guard().RoundTrip(req)
		Expect(err).NotTo(HaveOccurred())
		time.Sleep(300 * time.Millisecond)
		body, err := io.ReadAll(resp.Body)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(body)).To(Equal("xxxxxx"))
		Expect(resp.Body.Close()).To(Succeed())
	})

	It("does not blame the peer for a slow body of our own", func(ctx SpecContext) {
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
		DeferCleanup(server.Close)
		r, w := io.Pipe()
		go func() {
			time.Sleep(300 * time.Millisecond)
			_, _ = io.WriteString(w, "late")
			_ = w.Close()
		}()
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, server.URL, r)
		Expect(err).NotTo(HaveOccurred())
		resp, err := registry.Options{Stall: 100 * time.Millisecond}.Guard().RoundTrip(req)
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.Body.Close()).To(Succeed())
	})

	It("cuts the bodies of errors, and no others", func(ctx SpecContext) {
		for status, want := range map[int]int{200: 100_000, 500: 32 << 10} {
			body, err := get(ctx, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
			}, registry.Options{})
			Expect(err).NotTo(HaveOccurred())
			Expect(body).To(HaveLen(want))
		}
	})
})

var _ = DescribeTable("references", func(s string, insecure []string, host, scheme string) {
	ref, err := registry.Options{Insecure: insecure}.ParseReference(s)
	Expect(err).NotTo(HaveOccurred())
	Expect(ref.Context().RegistryStr()).To(Equal(host))
	Expect(ref.Context().Scheme()).To(Equal(scheme))
},
	Entry("of Docker Hub", "x", nil, "index.docker.io", "https"),
	Entry("with a port", "localhost:5000/x:1", nil, "localhost:5000", "http"),
	Entry("of any loopback address", "127.9.9.9:5000/x", nil, "127.9.9.9:5000", "http"),
	Entry("of a host that is named insecure", "example.com/x", []string{"example.com"}, "example.com", "http"),
	Entry("of a host that is not", "example.com/x", []string{"example.org"}, "example.com", "https"),
)

var _ = Describe("errors", func() {
	It("keep what they wrap, and are explained once", func() {
		Expect(registry.Explain(nil, "x")).To(Succeed())
		once := registry.Explain(fmt.Errorf("x: %w", io.ErrUnexpectedEOF), "example.com/x")
		Expect(once).To(MatchError(io.ErrUnexpectedEOF))
		Expect(registry.Explain(once, "example.com/y")).To(BeIdenticalTo(once))
		for path, what := range map[string]string{"a/manifests/1.0": "the name and the tag", "a/manifests/sha256:" + strings.Repeat("0", 64): "the name", "a/blobs/x": "the name", "manifests/tags/list": "the name"} {
			request := &http.Request{URL: &url.URL{Scheme: "https", Host: "example.com", Path: "/v2/" + path}}
			absent := &transport.Error{StatusCode: http.StatusNotFound, Request: request}
			Expect(registry.Explain(absent, "example.com/a")).To(MatchError(ContainSubstring("404 Not Found; check " + what + ", or log in")))
		}
		Expect(registry.Explain(context.Canceled, "x")).To(MatchError(context.Canceled))
	})

	DescribeTable("of a certificate name what is wrong with it and the next step", func(ctx SpecContext, ref, want string, change func(*tls.Config)) {
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		DeferCleanup(server.Close)
		address := server.Listener.Addr().String()
		config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone() // trusts the server
		change(config)
		transport := &http.Transport{TLSClientConfig: config, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		}}
		DeferCleanup(transport.CloseIdleConnections)
		o := registry.Options{Transport: transport, Keychain: keys{authn.Anonymous}, Pause: 1}
		parsed, err := o.ParseReference(ref)
		Expect(err).NotTo(HaveOccurred())
		_, err = remote.Get(parsed, o.Remote(ctx)...)
		Expect(registry.Explain(err, ref)).To(MatchError(ref + ": registry " + parsed.Context().RegistryStr() + ": " + want))
	},
		Entry("by an unknown authority", "example.com/x", "certificate is signed by an unknown authority; set SSL_CERT_FILE to a PEM file with the certificate of that authority",
			func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }),
		Entry("by one, on this machine, where plain HTTP is tried as well", "127.0.0.1:5000/x", "certificate is signed by an unknown authority; set SSL_CERT_FILE to a PEM file with the certificate of that authority",
			func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }),
		Entry("for another name", "reg.test/x", "certificate is valid for example.com, *.example.com, not reg.test; use a name that is in the certificate",
			func(*tls.Config) {}),
		Entry("out of date", "example.com/x", "certificate has expired or is not yet valid; renew it, or set the clock of this machine",
			func(c *tls.Config) { c.Time = func() time.Time { return time.Unix(1<<33, 0) } }),
	)

	It("about the certificate of another server name that server", func() {
		err := &url.Error{Op: "Get", URL: "https://auth.example.com/token", Err: x509.UnknownAuthorityError{}}
		Expect(registry.Explain(err, "example.com/x")).To(MatchError(HavePrefix("example.com/x: registry example.com: auth.example.com: certificate is signed by an unknown authority; ")))
	})

	It("hold no URL that could be signed", func() {
		err := &url.Error{Op: "Get", URL: "https://s3.example.com/?X-Amz-Signature=secret", Err: errors.New("no route to host")}
		Expect(registry.Explain(err, "example.com/x")).To(MatchError("example.com/x: registry example.com: no route to host"))
	})

	DescribeTable("of a status name the next step", func(status int, ref, want string) {
		err := &transport.Error{StatusCode: status, Errors: []transport.Diagnostic{{Code: "X", Message: "m\x1b[1m", Detail: "detail"}}}
		Expect(registry.Explain(err, ref)).To(MatchError(want))
	},
		Entry(nil, 401, "x/y", "x/y: registry index.docker.io: 401 Unauthorized: X: m[1m; log in with `docker login`, or ask for access"),
		Entry(nil, 403, "h:1/y", "h:1/y: registry h:1: 403 Forbidden: X: m[1m; log in with `docker login h:1`, or ask for access"),
		Entry(nil, 500, "h:1/y", "h:1/y: registry h:1: 500 Internal Server Error: X: m[1m"),
	)

	It("repeat little of what others say", func() {
		Expect(len(registry.Shorten(strings.Repeat("é", 1000)))).To(BeNumerically("<=", 310))
		Expect(registry.Shorten("a\n\tb\x00\xff")).To(Equal("a b"))
	})
})
