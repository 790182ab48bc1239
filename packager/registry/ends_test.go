package registry_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/registry"
)

// tryPush sends a blob to acme/x through the library.
func tryPush(ctx context.Context, o registry.Options, body []byte) error {
	GinkgoHelper()
	ref, err := o.ParseReference("reg.example.com/acme/x")
	Expect(err).NotTo(HaveOccurred())
	pusher, err := remote.NewPusher(o.Remote(ctx)...)
	Expect(err).NotTo(HaveOccurred())
	return pusher.Upload(ctx, ref.Context(), static.NewLayer(body, types.DockerLayer))
}

func pushBlob(ctx context.Context, o registry.Options, body []byte) {
	GinkgoHelper()
	Expect(tryPush(ctx, o, body)).To(Succeed())
}

// putManifest writes an empty index to acme/x through the library.
func putManifest(ctx context.Context, o registry.Options) error {
	return remote.Put(reference(o, "reg.example.com/acme/x:1"), empty.Index, o.Remote(ctx)...)
}

// the requests that a registry may answer with something endless or unfit.
var asks = map[string]func(context.Context, registry.Options) error{
	"a manifest": func(ctx context.Context, o registry.Options) error {
		_, err := remote.Get(reference(o, "reg.example.com/acme/x:1"), o.Remote(ctx)...)
		return err
	},
	"the head of a manifest": func(ctx context.Context, o registry.Options) error {
		_, err := remote.Head(reference(o, "reg.example.com/acme/x:1"), o.Remote(ctx)...)
		return err
	},
	"a blob": func(ctx context.Context, o registry.Options) error {
		_, digest := blob(10)
		l, err := remote.Layer(reference(o, "reg.example.com/acme/x@"+digest).(name.Digest), o.Remote(ctx)...)
		if err != nil {
			return err
		}
		_, err = l.Compressed()
		return err
	},
	"a list of tags": func(ctx context.Context, o registry.Options) error {
		_, err := remote.List(reference(o, "reg.example.com/acme/x").Context(), o.Remote(ctx)...)
		return err
	},
	"an upload": func(ctx context.Context, o registry.Options) error {
		return tryPush(registry.SkipExistsCheck(ctx), o, []byte("x"))
	},
}

func reference(o registry.Options, s string) name.Reference {
	GinkgoHelper()
	ref, err := o.ParseReference(s)
	Expect(err).NotTo(HaveOccurred())
	return ref
}

var _ = Describe("a registry", func() {
	for what, ask := range asks {
		It("that redirects "+what+" in a circle is left after ten requests", func(ctx SpecContext) {
			w := newWorld()
			w.at(home, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v2/" {
					http.Redirect(w, r, "https://mirror.org"+r.URL.Path, http.StatusTemporaryRedirect)
				}
			})
			w.at("https://mirror.org", func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, home+r.URL.Path+"?signature=secret", http.StatusFound)
			})
			err := registry.Explain(ask(ctx, w.options(login)), "reg.example.com/acme/x")
			Expect(err).To(MatchError(And(HavePrefix("reg.example.com/acme/x: registry reg.example.com: 10 redirects in a row (reg.example.com -> mirror.org -> reg.example.com"), Not(ContainSubstring("secret")))))
			Expect(len(w.requests(""))).To(BeNumerically("<=", 11), "and the ping")
		})

		It("that leads "+what+" to an address that is none does not get it repeated", func(ctx SpecContext) {
			for _, to := range []string{"https://s3.example.com/%zz?X-Amz-Signature=secret", "https://u:secret@s3.example.com:secret/", "https://s3.example.com/\x7f ?signature=secret"} {
				w := newWorld()
				w.at(home, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path != "/v2/" {
						w.Header().Set("Location", to)
						if what == "an upload" {
							w.WriteHeader(http.StatusAccepted)
						} else {
							w.WriteHeader(http.StatusTemporaryRedirect)
						}
					}
				})
				err := registry.Explain(ask(ctx, w.options(login)), "reg.example.com/acme/x")
				Expect(err).To(MatchError(MatchRegexp("^reg.example.com/acme/x: registry reg.example.com: (invalid Location header|malformed response) from reg.example.com$")))
			}
		})
	}

	DescribeTable("is not believed beyond 16 MiB", func(ctx SpecContext, what string, says bool) {
		w := newWorld()
		var sent atomic.Int64
		w.at(home, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v2/" {
				return
			}
			w.Header().Set("Content-Type", string(types.OCIManifestSchema1))
			if says {
				w.Header().Set("Content-Length", "104857600")
			}
			for range 100 {
				n, err := io.WriteString(w, strings.Repeat(" ", 1<<20))
				if sent.Add(int64(n)); err != nil {
					return
				}
			}
		})
		Expect(asks[what](ctx, w.options(login))).To(MatchError(ContainSubstring("response is larger than 16 MiB")))
		Expect(sent.Load()).To(BeNumerically("<", 40<<20))
	},
		Entry("in a manifest", "a manifest", false),
		Entry("in a manifest that says its size", "a manifest", true),
		Entry("in a list of tags", "a list of tags", false),
	)

	It("is not believed beyond little in a token", func(ctx SpecContext) {
		w := newWorld()
		w.at(home, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="https://auth.org/token",service="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		})
		w.at("https://auth.org", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"token":"`)
			for range 100 {
				if _, err := io.WriteString(w, strings.Repeat("x", 1<<20)); err != nil {
					return
				}
			}
		})
		Expect(asks["a manifest"](ctx, w.options(login))).To(HaveOccurred())
	})

	It("may name an address that is none where no request follows", func(ctx SpecContext) {
		w := newWorld()
		w.at(home, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				w.Header().Set("Location", "0:manifest")
				w.WriteHeader(http.StatusCreated)
			}
		})
		Expect(putManifest(ctx, w.options(login))).To(Succeed())
	})

	DescribeTable("may refuse a token that has expired, and gets the same request with another", func(ctx SpecContext, method string, put bool) {
		w := newWorld()
		tokens := 0
		w.at("https://auth.org", func(w http.ResponseWriter, _ *http.Request) {
			tokens++
			_, _ = io.WriteString(w, `{"token":"`+strings.Repeat("t", tokens)+`"}`)
		})
		var bodies []int64
		expired := 0
		w.at(home, func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			if r.Method == method {
				if bodies = append(bodies, n); len(bodies) == 1 {
					expired = tokens
				}
			}
			if got := r.Header.Get("Authorization"); len(got) <= len("Bearer ")+expired {
				w.Header().Set("WWW-Authenticate", `Bearer realm="https://auth.org/token",service="x"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			switch {
			case r.Method == http.MethodPost, r.Method == http.MethodPatch:
				w.Header().Set("Location", "/v2/acme/x/blobs/uploads/1")
				w.WriteHeader(http.StatusAccepted)
			case r.Method == http.MethodPut:
				w.WriteHeader(http.StatusCreated)
			}
		})
		if put {
			Expect(putManifest(ctx, w.options(login))).To(Succeed())
		} else {
			body, _ := blob(1 << 20)
			Expect(tryPush(registry.SkipExistsCheck(ctx), w.options(login), body)).To(Succeed())
		}
		Expect(bodies).To(HaveLen(2))
		Expect(bodies[0]).To(Equal(bodies[1]))
		Expect(expired).To(Equal(1))
		Expect(tokens).To(Equal(2))
	},
		Entry("when an upload begins", http.MethodPost, false),
		Entry("when it sends a blob", http.MethodPatch, false),
		Entry("when it ends an upload", http.MethodPut, false),
		Entry("when it puts a manifest", http.MethodPut, true),
	)

	It("that does not respond to the TLS handshake is asked once", func(ctx SpecContext) {
		silent, err := net.Listen("tcp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(silent.Close)
		var asked atomic.Int32
		go func() {
			for {
				if _, err := silent.Accept(); err != nil {
					return
				}
				asked.Add(1)
			}
		}()
		o := registry.Options{Keychain: keys{authn.Anonymous}, Pause: 1, Transport: &http.Transport{
			TLSHandshakeTimeout: 50 * time.Millisecond,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", silent.Addr().String())
			},
		}}
		Expect(asks["a manifest"](ctx, o)).To(MatchError(ContainSubstring("TLS handshake timeout")))
		Expect(asked.Load()).To(Equal(int32(1)))
	})
})

var _ = Describe("a peer that is too slow", func() {
	const stall = 100 * time.Millisecond
	isSlow := func(err error) {
		GinkgoHelper()
		var slow *registry.StallError
		Expect(errors.As(err, &slow)).To(BeTrue(), "%v", err)
		Expect(err).To(MatchError(MatchRegexp(`reg\.example\.com is too slow: \d+ bytes in ([1-9]\d\dms|\d+(\.\d+)?s); the minimum is 1000 bytes per second`)))
	}
	// trickle returns a byte every five milliseconds.
	trickle := readerFunc(func(p []byte) (int, error) {
		time.Sleep(5 * time.Millisecond)
		return copy(p, "x"), nil
	})

	It("is left while it answers", func(ctx SpecContext) {
		o := registry.Options{Stall: stall, Transport: tripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(trickle), Request: r}, nil
		})}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, home, nil)
		Expect(err).NotTo(HaveOccurred())
		resp, err := o.Retrying().RoundTrip(req)
		Expect(err).NotTo(HaveOccurred())
		_, err = io.ReadAll(resp.Body)
		isSlow(err)
		Expect(resp.Body.Close()).To(Succeed())
	})

	It("is left while it takes a body", func(ctx SpecContext) {
		o := registry.Options{Stall: stall, Transport: tripper(func(r *http.Request) (*http.Response, error) {
			for {
				if _, err := r.Body.Read(make([]byte, 1)); err != nil {
					return nil, err
				}
				time.Sleep(5 * time.Millisecond)
			}
		})}
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, home, strings.NewReader(strings.Repeat("x", 1000)))
		Expect(err).NotTo(HaveOccurred())
		_, err = o.Retrying().RoundTrip(req)
		isSlow(err)
	})

	It("is not taken for slow because the connection took long", func(ctx SpecContext) {
		// Together they take longer than the stall time, and each much less, also on a busy machine.
		o := registry.Options{Stall: time.Second, Transport: tripper(func(r *http.Request) (*http.Response, error) {
			time.Sleep(600 * time.Millisecond)
			for {
				if _, err := io.ReadFull(r.Body, make([]byte, 100)); err != nil {
					return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, r.Context().Err()
				}
				time.Sleep(70 * time.Millisecond)
			}
		})}
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, home, strings.NewReader(strings.Repeat("x", 800)))
		Expect(err).NotTo(HaveOccurred())
		resp, err := o.Retrying().RoundTrip(req)
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.Body.Close()).To(Succeed())
	})

	It("is not asked to resume a blob", func(ctx SpecContext) {
		_, digest := blob(1000)
		var asked atomic.Int32
		w := newWorld()
		w.at(home, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v2/" {
				return
			}
			asked.Add(1)
			w.Header().Set("Content-Length", "1000")
			for range 1000 {
				_, _ = io.CopyN(w, trickle, 1)
				if http.NewResponseController(w).Flush() != nil || r.Context().Err() != nil {
					return
				}
			}
		})
		o := w.options(login)
		o.Stall = stall
		l, err := remote.Layer(reference(o, "reg.example.com/acme/x@"+digest).(name.Digest), o.Remote(ctx)...)
		Expect(err).NotTo(HaveOccurred())
		r, err := l.Compressed()
		Expect(err).NotTo(HaveOccurred())
		_, err = io.ReadAll(r)
		var slow *registry.StallError // or silent for as long, on a busy machine
		Expect(errors.As(err, &slow)).To(BeTrue(), "%v", err)
		Expect(r.Close()).To(Succeed())
		Expect(asked.Load()).To(Equal(int32(1)))
	})
})

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
