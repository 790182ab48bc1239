package registry_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
	"laminate/packager/registry"
)

// manifest is a document that no parser looks at here.
const manifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}`

// tokenHost is a registry whose token server gives tokens that name their scope and user. It serves
// manifests of repositories to those with a token for them.
func (w *world) tokenHost(at, realm string, life int) {
	w.at(realm, func(resp http.ResponseWriter, req *http.Request) {
		user, _, _ := req.BasicAuth()
		fmt.Fprintf(resp, `{"token":"%s/%s/%d","expires_in":%d}`, user, strings.Join(req.URL.Query()["scope"], "+"), len(w.requests(realm)), life)
	})
	w.at(at, func(resp http.ResponseWriter, req *http.Request) {
		repository := strings.TrimPrefix(req.URL.Path[:max(strings.Index(req.URL.Path, "/manifests/"), 0)], "/v2/")
		if !strings.Contains(req.Header.Get("Authorization"), "repository:"+repository+":") || repository == "" {
			resp.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="x"`, realm))
			resp.WriteHeader(http.StatusUnauthorized)
			return
		}
		resp.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		_, _ = io.WriteString(resp, manifest)
	})
}

// get reads a manifest with a puller of its own, as a phase of a run does.
func get(ctx context.Context, o registry.Options, ref string) error {
	parsed, err := o.ParseReference(ref)
	Expect(err).NotTo(HaveOccurred())
	_, err = remote.Get(parsed, append(o.Remote(ctx), remote.WithContext(ctx))...)
	return err
}

// perRepository has a login for each repository.
type perRepository map[string]authn.AuthConfig

func (p perRepository) Resolve(r authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(p[r.String()]), nil
}

var _ = Describe("a pool", func() {
	paths := func(all []seen, path string) (n int) {
		for _, s := range all {
			if s.path == path {
				n++
			}
		}
		return n
	}

	It("lets phases ping a host once, and get a token once for each scope, also at the same time", func(ctx SpecContext) {
		w := newWorld()
		w.tokenHost(home, "https://auth.org", 300)
		o := w.options(login)
		o.Pool = registry.NewPool(0)
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				defer GinkgoRecover()
				Expect(get(ctx, o, fmt.Sprintf("reg.example.com/acme/%d:1", i%4))).To(Succeed())
			})
		}
		group.Wait()
		Expect(paths(w.requests(home), "/v2/")).To(Equal(1))
		Expect(w.requests("https://auth.org")).To(HaveLen(4), "one for each repository")
	})

	It("keeps no login of one repository for another, and none of one user for another", func(ctx SpecContext) {
		w := newWorld()
		w.tokenHost(home, "https://auth.org", 300)
		pool := registry.NewPool(0)
		o := registry.Options{Transport: w.transport, Pool: pool, Pause: 1, Keychain: perRepository{
			"reg.example.com/acme/a": {Username: "ann", Password: "1"}, "reg.example.com/acme/b": {Username: "bob", Password: "2"},
		}}
		for range 2 {
			Expect(get(ctx, o, "reg.example.com/acme/a:1")).To(Succeed())
			Expect(get(ctx, o, "reg.example.com/acme/b:1")).To(Succeed())
		}
		o.Keychain = perRepository{"reg.example.com/acme/a": {Username: "eve", Password: "3"}}
		Expect(get(ctx, o, "reg.example.com/acme/a:1")).To(Succeed())
		for _, s := range w.requests(home) {
			switch {
			case strings.Contains(s.path, "/a/"):
				Expect(s.authorization).To(Or(HavePrefix("Bearer ann/repository:acme/a:"), HavePrefix("Bearer eve/repository:acme/a:")))
			case strings.Contains(s.path, "/b/"):
				Expect(s.authorization).To(HavePrefix("Bearer bob/repository:acme/b:"))
			default:
				Expect(s.authorization).To(BeEmpty())
			}
		}
		Expect(w.requests("https://auth.org")).To(HaveLen(3))
	})

	It("shows documents that one login can read to no other", func(ctx SpecContext) {
		w := newWorld()
		digest := digestOf(manifest)
		for _, realm := range []string{"https://auth.org"} {
			w.tokenHost(home, realm, 300)
		}
		serve := w.hosts[home]
		w.at(home, func(resp http.ResponseWriter, req *http.Request) {
			if strings.HasPrefix(req.Header.Get("Authorization"), "Bearer eve/") {
				resp.WriteHeader(http.StatusForbidden)
				return
			}
			serve(resp, req)
		})
		pool := registry.NewPool(0)
		as := func(user string) registry.Options {
			return registry.Options{Transport: w.transport, Pool: pool, Pause: 1, Keychain: keys{authn.FromConfig(authn.AuthConfig{Username: user, Password: "x"})}}
		}
		recent := registry.RecentTags(ctx)
		for range 2 {
			Expect(get(ctx, as("ann"), "reg.example.com/acme/a@"+digest)).To(Succeed())
			Expect(get(recent, as("ann"), "reg.example.com/acme/a:1")).To(Succeed())
		}
		Expect(paths(w.requests(home), "/v2/acme/a/manifests/"+digest)).To(Equal(1))
		Expect(paths(w.requests(home), "/v2/acme/a/manifests/1")).To(Equal(1))
		Expect(get(ctx, as("eve"), "reg.example.com/acme/a@"+digest)).To(MatchError(ContainSubstring("403")))
		Expect(get(recent, as("eve"), "reg.example.com/acme/a:1")).To(MatchError(ContainSubstring("403")))
	})

	It("gets a new token once a registry refuses one, or it is about to expire", func(ctx SpecContext) {
		for _, life := range []int{300, 1} {
			w := newWorld()
			w.tokenHost(home, "https://auth.org", life)
			o := w.options(login)
			o.Pool = registry.NewPool(0)
			Expect(get(ctx, o, "reg.example.com/acme/a:1")).To(Succeed())
			refuse := "/1" // the first token
			if life == 1 {
				refuse = "none"
				time.Sleep(950 * time.Millisecond)
			}
			serve := w.hosts[home]
			w.at(home, func(resp http.ResponseWriter, req *http.Request) {
				if strings.HasSuffix(req.Header.Get("Authorization"), refuse) {
					req.Header.Del("Authorization")
				}
				serve(resp, req)
			})
			for range 2 {
				Expect(get(ctx, o, "reg.example.com/acme/a:1")).To(Succeed())
			}
			Expect(w.requests("https://auth.org")).To(HaveLen(2), "life %d", life)
		}
	})

	It("tells hosts apart by scheme and port", func(ctx SpecContext) {
		w := newWorld()
		for _, at := range []string{home, "https://reg.example.com:8443", "http://plain.example.com:80", "http://plain.example.com"} {
			w.tokenHost(at, "https://auth.org", 300)
		}
		o := w.options(login)
		o.Pool, o.Insecure = registry.NewPool(0), []string{"plain.example.com:80"}
		for range 2 {
			Expect(get(ctx, o, "reg.example.com/acme/a:1")).To(Succeed())
			Expect(get(ctx, o, "reg.example.com:8443/acme/a:1")).To(Succeed())
		}
		Expect(paths(w.requests(home), "/v2/")).To(Equal(1))
		Expect(paths(w.requests("https://reg.example.com:8443"), "/v2/")).To(Equal(1))
	})

	It("does not keep a failed ping, shares it with those who wait, and lets no caller wait that gives up", func(ctx SpecContext) {
		var asked atomic.Int32
		release := make(chan struct{})
		o := registry.Options{Pool: registry.NewPool(0), Pause: 1, Keychain: keys{authn.Anonymous}, Transport: tripper(func(r *http.Request) (*http.Response, error) {
			if asked.Add(1) == 1 {
				<-release
			}
			return nil, syscall.ECONNREFUSED
		})}
		var group sync.WaitGroup
		for range 5 {
			group.Go(func() {
				defer GinkgoRecover()
				Expect(get(ctx, o, "reg.example.com/acme/a:1")).To(MatchError(syscall.ECONNREFUSED))
			})
		}
		Eventually(asked.Load).Should(BeEquivalentTo(1))
		time.Sleep(50 * time.Millisecond) // the others wait
		gone, leave := context.WithTimeout(ctx, 20*time.Millisecond)
		defer leave()
		Expect(get(gone, o, "reg.example.com/acme/a:1")).To(MatchError(context.DeadlineExceeded))
		close(release)
		group.Wait()
		Expect(asked.Load()).To(BeEquivalentTo(1))
		Expect(get(ctx, o, "reg.example.com/acme/a:1")).To(MatchError(syscall.ECONNREFUSED))
		Expect(asked.Load()).To(BeEquivalentTo(2))
	})

	It("does not keep the response of a host that is broken for a moment", func(ctx SpecContext) {
		w := newWorld()
		w.at(home, func(resp http.ResponseWriter, _ *http.Request) { resp.WriteHeader(http.StatusNotFound) })
		o := w.options(login)
		o.Pool = registry.NewPool(0)
		Expect(get(ctx, o, "reg.example.com/acme/a:1")).To(MatchError(ContainSubstring("404")))
		w.tokenHost(home, "https://auth.org", 300)
		Expect(get(ctx, o, "reg.example.com/acme/a:1")).To(Succeed())
	})

	It("pings again for the others if the first gives up", func(ctx SpecContext) {
		w := newWorld()
		w.tokenHost(home, "https://auth.org", 300)
		var asked atomic.Int32
		o := w.options(login)
		o.Pool, o.Transport = registry.NewPool(0), tripper(func(r *http.Request) (*http.Response, error) {
			if asked.Add(1) == 1 {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return w.transport.RoundTrip(r)
		})
		first, leave := context.WithCancel(ctx)
		ended := make(chan error, 2)
		go func() { ended <- get(first, o, "reg.example.com/acme/a:1") }()
		Eventually(asked.Load).Should(BeEquivalentTo(1))
		go func() { ended <- get(ctx, o, "reg.example.com/acme/a:1") }()
		time.Sleep(50 * time.Millisecond)
		leave()
		Expect([]error{<-ended, <-ended}).To(ConsistOf(MatchError(context.Canceled), BeNil()))
	})

	It("does not try TLS again where only plain HTTP is answered", func(ctx SpecContext) {
		var tls, plain atomic.Int32
		o := registry.Options{Pool: registry.NewPool(0), Pause: 1, Keychain: keys{authn.Anonymous}, Transport: tripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Scheme == "https" {
				tls.Add(1)
				return nil, errors.New("http: server gave HTTP response to HTTPS client")
			}
			plain.Add(1)
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(manifest)), ContentLength: int64(len(manifest)), Request: r}, nil
		})}
		for range 3 {
			Expect(get(ctx, o, "localhost:5000/acme/a:1")).To(Succeed())
		}
		Expect(tls.Load()).To(BeEquivalentTo(1))
		Expect(plain.Load()).To(BeEquivalentTo(1 + 3))
	})
})

var _ = Describe("documents that a run has read", func() {
	var asked atomic.Int32
	var body atomic.Value
	var o registry.Options
	status := http.StatusOK
	BeforeEach(func() {
		asked.Store(0)
		body.Store(manifest)
		status = http.StatusOK
		o = registry.Options{Pool: registry.NewPool(0), Pause: 1, Keychain: keys{authn.Anonymous}, Transport: tripper(func(r *http.Request) (*http.Response, error) {
			content := body.Load().(string)
			resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(content)), ContentLength: int64(len(content)), Request: r}
			if r.URL.Path != "/v2/" {
				asked.Add(1)
				resp.StatusCode = status
				if r.Method == http.MethodPut {
					resp.StatusCode = http.StatusCreated
				}
			}
			return resp, nil
		})}
	})
	put := func(ctx context.Context, ref string) {
		GinkgoHelper()
		parsed, err := o.ParseReference(ref)
		Expect(err).NotTo(HaveOccurred())
		Expect(remote.Put(parsed, taggable(manifest), o.Remote(ctx)...)).To(Succeed())
	}

	It("are read once by digest, also at the same time", func(ctx SpecContext) {
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				defer GinkgoRecover()
				Expect(get(ctx, o, "reg.example.com/a@"+digestOf(manifest))).To(Succeed())
			})
		}
		group.Wait()
		Expect(asked.Load()).To(BeEquivalentTo(1))
	})

	It("are not kept if they have another digest", func(ctx SpecContext) {
		ref := "reg.example.com/a@" + digestOf(manifest)
		body.Store("{}")
		Expect(get(ctx, o, ref)).NotTo(Succeed())
		body.Store(manifest)
		Expect(get(ctx, o, ref)).To(Succeed())
		Expect(asked.Load()).To(BeEquivalentTo(2))
	})

	It("are read again for the others if the first gives up while it reads", func(ctx SpecContext) {
		within := o.Transport
		var begun atomic.Int32
		o.Transport = tripper(func(r *http.Request) (*http.Response, error) {
			resp, err := within.RoundTrip(r)
			if r.URL.Path != "/v2/" && begun.Add(1) == 1 {
				resp.Body = io.NopCloser(endless{r.Context()})
			}
			return resp, err
		})
		first, leave := context.WithCancel(ctx)
		ended := make(chan error, 2)
		ref := "reg.example.com/a@" + digestOf(manifest)
		go func() { ended <- get(first, o, ref) }()
		Eventually(begun.Load).Should(BeEquivalentTo(1))
		go func() { ended <- get(ctx, o, ref) }()
		time.Sleep(50 * time.Millisecond)
		leave()
		Expect([]error{<-ended, <-ended}).To(ConsistOf(MatchError(context.Canceled), BeNil()))
	})

	It("are those of a tag only for readers that allow it", func(ctx SpecContext) {
		for range 2 {
			Expect(get(ctx, o, "reg.example.com/a:1")).To(Succeed())
		}
		Expect(asked.Load()).To(BeEquivalentTo(2))
		for range 2 {
			Expect(get(registry.RecentTags(ctx), o, "reg.example.com/a:1")).To(Succeed())
		}
		Expect(asked.Load()).To(BeEquivalentTo(3))
	})

	It("include that a tag is missing, and no other failure", func(ctx SpecContext) {
		for status = range map[int]bool{404: true, 403: true} {
			asked.Store(0)
			ref := fmt.Sprintf("reg.example.com/a:%d", status)
			for range 2 {
				Expect(get(registry.RecentTags(ctx), o, ref)).NotTo(Succeed())
			}
			Expect(asked.Load()).To(BeEquivalentTo(map[int]int{404: 1, 403: 2}[status]))
		}
		asked.Store(0)
		status = 404
		for range 2 {
			Expect(get(ctx, o, "reg.example.com/a@"+digestOf(manifest))).NotTo(Succeed())
		}
		Expect(asked.Load()).To(BeEquivalentTo(2), "a digest may arrive")
	})

	It("are read from the registry once the run has written them", func(ctx SpecContext) {
		recent := registry.RecentTags(ctx)
		for _, ref := range []string{"reg.example.com/a:1", "reg.example.com/a@" + digestOf(manifest)} {
			Expect(get(recent, o, ref)).To(Succeed())
			put(ctx, ref)
			asked.Store(0)
			for range 3 {
				Expect(get(recent, o, ref)).To(Succeed())
			}
			Expect(asked.Load()).To(BeEquivalentTo(3), ref)
		}
	})
})

type taggable string

func (t taggable) RawManifest() ([]byte, error) { return []byte(t), nil }

func digestOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// endless is a body that sends nothing until its request ends.
type endless struct{ ctx context.Context }

func (e endless) Read([]byte) (int, error) {
	<-e.ctx.Done()
	return 0, e.ctx.Err()
}

var _ = Describe("blobs of an image", func() {
	It("may all be open at the same time: those of a layer are read in an order", func(SpecContext) {
		host := fixtures.Registry(GinkgoT())
		img, err := random.Image(300_000, 12)
		Expect(err).NotTo(HaveOccurred())
		o := registry.Options{}
		ref, err := o.ParseReference(host + "/image:1")
		Expect(err).NotTo(HaveOccurred())
		Expect(remote.Write(ref, img)).To(Succeed())
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		there, err := remote.Image(ref, o.Remote(ctx)...)
		Expect(err).NotTo(HaveOccurred())
		layers, err := there.Layers()
		Expect(err).NotTo(HaveOccurred())
		for _, l := range layers {
			blob, err := l.Compressed()
			Expect(err).NotTo(HaveOccurred())
			defer blob.Close()
		}
	}, NodeTimeout(20*time.Second))
})
