package source_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/registry"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/location"
)

// registryThat runs a registry that holds a sample at acme/root:1, with a
// handler before it.
func registryThat(before func(w http.ResponseWriter, r *http.Request, next http.Handler)) string {
	GinkgoHelper()
	inner := registry.New(registry.Logger(quiet()))
	var active bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if active {
			before(w, r, inner)
		} else {
			inner.ServeHTTP(w, r)
		}
	}))
	DeferCleanup(s.Close)
	host := strings.TrimPrefix(s.URL, "http://")
	push(host+"/acme/root:1", sample{compression: layer.Gzip}.image())
	active = true
	return host
}

func isBlob(r *http.Request) bool { return strings.Contains(r.URL.Path, "/blobs/") }

// record takes the answer of a handler.
func record(next http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	next.ServeHTTP(w, r)
	return w
}

var _ = Describe("a registry", func() {
	It("is given credentials, and asks for them in few words", func() {
		host := registryThat(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if user, password, _ := r.BasicAuth(); user != "ann" || password != "secret" {
				w.Header().Set("WWW-Authenticate", "Basic realm=x")
				w.WriteHeader(http.StatusUnauthorized)
				fmt.Fprintf(w, `{"errors":[{"code":"UNAUTHORIZED","message":%q}]}`, strings.Repeat("no ", 5000))
				return
			}
			next.ServeHTTP(w, r)
		})
		o := opener()
		loc := at(location.Registry, "", host+"/acme/root:1")
		err := readAll(o, loc)
		Expect(err).To(MatchError(And(HavePrefix(loc.Written+": "), ContainSubstring("docker login "+host))))
		Expect(len(err.Error())).To(BeNumerically("<", 700))
		o.Keychain = keychain{}
		Expect(readAll(o, loc)).To(Succeed())
	})

	It("that answers with a page gives a short error", func() {
		host := registryThat(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, "<html>"+strings.Repeat("not here ", 100_000))
		})
		err := readAll(opener(), at(location.Registry, "", host+"/acme/root:1"))
		Expect(err).To(MatchError(ContainSubstring("404 Not Found")))
		Expect(len(err.Error())).To(BeNumerically("<", 700))
	})

	DescribeTable("that lies is found out",
		func(why string, before func(http.ResponseWriter, *http.Request, http.Handler)) {
			loc := at(location.Registry, "", registryThat(before)+"/acme/root:1")
			Expect(readAll(opener(), loc)).To(MatchError(And(HavePrefix(loc.Written+": "), ContainSubstring(why))))
		},
		Entry("other bytes in blobs", "sha256", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			a := record(next, r)
			body := a.Body.Bytes()
			if isBlob(r) && len(body) > 0 {
				flip(body)
			}
			w.Header().Set("Content-Type", a.Header().Get("Content-Type"))
			w.WriteHeader(a.Code)
			w.Write(body)
		}),
		Entry("too few bytes in layers", "EOF", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			a := record(next, r)
			w.Header().Set("Content-Type", a.Header().Get("Content-Type"))
			w.Header().Set("Content-Length", fmt.Sprint(a.Body.Len()))
			w.WriteHeader(a.Code)
			w.Write(a.Body.Bytes()[:a.Body.Len()/2])
		}),
		Entry("an index of an artifact", "not an image", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, "hello")
		}),
	)

	It("that falls silent is named", func() {
		release := make(chan struct{})
		host := registryThat(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if isBlob(r) {
				w.WriteHeader(http.StatusOK)
				w.(http.Flusher).Flush()
				<-release
				return
			}
			next.ServeHTTP(w, r)
		})
		defer close(release)
		o := opener()
		o.Stall = 200 * time.Millisecond
		start := time.Now()
		Expect(readAll(o, at(location.Registry, "", host+"/acme/root:1"))).To(MatchError(ContainSubstring(host + " does not respond")))
		Expect(time.Since(start)).To(BeNumerically("<", 5*time.Second))
	})

	It("is left within a second when the work is called off", func() {
		asked := make(chan struct{}, 100)
		release := make(chan struct{})
		host := registryThat(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
			asked <- struct{}{}
			<-release
		})
		defer close(release)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() {
			_, err := opener().Package(ctx, at(location.Registry, "", host+"/acme/root:1"), flatten.Buildpack, flatten.Target{})
			done <- err
		}()
		<-asked
		cancel()
		Eventually(done).Should(Receive(MatchError(context.Canceled)))
	})

	It("is not spoken to in the clear, unless that was allowed", func() {
		o := opener()
		var asked []string
		o.Transport = transport(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.URL.Scheme+"://"+r.URL.Host)
			return nil, fmt.Errorf("no network in tests")
		})
		for _, host := range []string{"10.1.2.3:5000", "registry.local", "registry.example.com"} {
			_, err := o.Package(context.Background(), at(location.Registry, "", host+"/x/y"), flatten.Buildpack, flatten.Target{})
			Expect(err).To(HaveOccurred())
		}
		Expect(asked).NotTo(ContainElement(HavePrefix("http://")))
		o.Insecure = []string{"registry.example.com"}
		_, err := o.Package(context.Background(), at(location.Registry, "", "registry.example.com/x/y"), flatten.Buildpack, flatten.Target{})
		Expect(err).To(HaveOccurred())
		Expect(asked).To(ContainElement("http://registry.example.com"))
	})

	It("holds large images without their weight in memory or requests", func() {
		var blobs int
		host := registryThat(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if isBlob(r) {
				blobs++
			}
			next.ServeHTTP(w, r)
		})
		_, err := openAt(at(location.Registry, "", host+"/acme/root:1"), flatten.Target{})
		Expect(err).NotTo(HaveOccurred())
		Expect(blobs).To(Equal(1), "the config, and no layer")
	})
})

type keychain struct{}

func (keychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: "ann", Password: "secret"}, nil
}

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }
