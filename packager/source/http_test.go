package source_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/location"
	"laminate/packager/progress"
	"laminate/packager/source"
)

// warnings is a Log that keeps what it is warned of.
type warnings struct {
	progress.Log
	told []string
}

func (w *warnings) Warn(message string) { w.told = append(w.told, message) }

// shelf is a web server with one file.
type shelf struct {
	url       string
	body, tag string
	sent      atomic.Int32 // how often the whole file was sent
	asked     atomic.Int32
}

func newShelf() *shelf {
	s := &shelf{body: string(packed(layer.Gzip, tarOf(component("acme/a").entries()...))), tag: `"one"`}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		if s.tag != "" {
			w.Header().Set("ETag", s.tag)
			if r.Header.Get("If-None-Match") == s.tag {
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		s.sent.Add(1)
		fmt.Fprint(w, s.body)
	}))
	DeferCleanup(server.Close)
	s.url = server.URL + "/a.tgz?token=secret"
	return s
}

func web(url string) location.Location {
	loc, err := location.ParseSource(url, "")
	Expect(err).NotTo(HaveOccurred())
	return loc
}

func (s *shelf) open(cache string) (*source.Package, error) {
	o := opener()
	o.CacheDir = cache
	return o.Package(context.Background(), web(s.url), flatten.Buildpack, flatten.Target{})
}

func (s *shelf) mustOpen(cache string) {
	GinkgoHelper()
	p, err := s.open(cache)
	Expect(err).NotTo(HaveOccurred())
	Expect(listing(p.Modules[0].Piece)).To(Equal(want("acme/a")))
}

var _ = Describe("a file from a web server", func() {
	It("is fetched once per run, and kept nowhere else", func() {
		s, o := newShelf(), opener()
		for _, target := range []flatten.Target{amd64, arm64} {
			p, err := o.Package(context.Background(), web(s.url), flatten.Buildpack, target)
			Expect(err).NotTo(HaveOccurred())
			Expect(p.Name).To(HaveSuffix("/a.tgz?…"), "without secrets")
			Expect(listing(p.Modules[0].Piece)).To(Equal(want("acme/a")))
		}
		Expect(s.asked.Load()).To(BeEquivalentTo(1))
	})

	It("may be a buildpackage", func() {
		s := newShelf()
		s.body = string(tarOfDir(layoutOfOne(sample{compression: layer.Gzip, target: amd64}.image()), ""))
		checkSample(web(s.url), true, layer.Gzip)
	})

	It("is asked for news when it is cached", func() {
		s, cache := newShelf(), GinkgoT().TempDir()
		for range 3 {
			s.mustOpen(cache)
		}
		Expect(s.asked.Load()).To(BeEquivalentTo(3))
		Expect(s.sent.Load()).To(BeEquivalentTo(1))
		s.tag, s.body = `"two"`, string(tarOf(component("acme/a").entries()...))
		old, err := filepath.Glob(filepath.Join(cache, "http/*/sha256-*"))
		Expect(err).NotTo(HaveOccurred())
		lastWeek := time.Now().AddDate(0, 0, -7)
		Expect(os.Chtimes(old[0], lastWeek, lastWeek)).To(Succeed())
		s.mustOpen(cache)
		Expect(s.sent.Load()).To(BeEquivalentTo(2))
		now, err := filepath.Glob(filepath.Join(cache, "http/*/*"))
		Expect(err).NotTo(HaveOccurred())
		Expect(now).To(HaveLen(2), "the entry, and the new file alone")
		Expect(now).NotTo(ContainElement(old[0]))
	})

	It("is fetched again where the cache is damaged", func() {
		s, cache := newShelf(), GinkgoT().TempDir()
		for i, spoil := range []func(body, entry string){
			func(body, _ string) { damageFile(body) },
			func(body, _ string) { Expect(os.Truncate(body, 10)).To(Succeed()) },
			func(body, _ string) { Expect(os.Remove(body)).To(Succeed()) },
			func(_, entry string) { Expect(os.WriteFile(entry, []byte("{"), 0o600)).To(Succeed()) },
			func(_, entry string) {
				Expect(os.WriteFile(entry, []byte(`{"etag":"\"one\"","digest":"sha256:../../etc/passwd","size":1}`), 0o600)).To(Succeed())
			},
		} {
			s.mustOpen(cache)
			bodies, err := filepath.Glob(filepath.Join(cache, "http/*/sha256-*"))
			Expect(err).NotTo(HaveOccurred())
			Expect(bodies).To(HaveLen(1))
			spoil(bodies[0], filepath.Join(filepath.Dir(bodies[0]), "entry.json"))
			s.mustOpen(cache)
			Expect(s.sent.Load()).To(BeEquivalentTo(i+2), "each time one more")
		}
	})

	It("leaves no secrets in the cache", func() {
		s, cache := newShelf(), GinkgoT().TempDir()
		s.mustOpen(cache)
		entries, err := filepath.Glob(filepath.Join(cache, "http/*/entry.json"))
		Expect(err).NotTo(HaveOccurred())
		Expect(entries).To(HaveLen(1))
		data, err := os.ReadFile(entries[0])
		Expect(err).NotTo(HaveOccurred())
		Expect(json.Valid(data)).To(BeTrue())
		Expect(string(data)).To(And(ContainSubstring(`"etag":"\"one\""`), Not(ContainSubstring("secret"))))
	})

	It("can be fetched by many at once into one cache", func() {
		s, cache := newShelf(), GinkgoT().TempDir()
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				defer GinkgoRecover()
				s.mustOpen(cache)
			})
		}
		all.Wait()
	})

	DescribeTable("that is not to be had gives a short error without secrets, and leaves nothing",
		func(why string, handler http.HandlerFunc) {
			server := httptest.NewServer(handler)
			defer server.Close()
			o := opener()
			o.CacheDir, o.Limits.Bytes, o.Stall = GinkgoT().TempDir(), 100_000, 200*time.Millisecond
			loc := web(strings.Replace(server.URL, "http://", "http://ann:secret@", 1) + "/x.tgz?token=secret")
			_, err := o.Package(context.Background(), loc, flatten.Buildpack, flatten.Target{})
			Expect(err).To(MatchError(And(HavePrefix(server.URL+"/x.tgz?…: "), ContainSubstring(why), Not(ContainSubstring("secret")))))
			Expect(len(err.Error())).To(BeNumerically("<", 500))
			Expect(diskUse(o.CacheDir)).To(BeZero())
			Expect(diskUse(o.WorkDir)).To(BeZero())
		},
		Entry("not there", "404 Not Found", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(404)
			fmt.Fprint(w, strings.Repeat("<html>", 100_000))
		}),
		Entry("too large", "more than the limit of 100000", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "99999999999")
			w.WriteHeader(200)
		}),
		Entry("too large without saying so", "more bytes than the limit of 100000", func(w http.ResponseWriter, r *http.Request) {
			for range 100 {
				fmt.Fprint(w, strings.Repeat("x", 10_000))
				w.(http.Flusher).Flush()
			}
		}),
		Entry("cut off", "unexpected EOF", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "x")
		}),
		Entry("silent", "is silent", func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}),
		Entry("elsewhere, in the clear", "plain HTTP to example.com is refused", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://example.com/x.tgz", http.StatusFound)
		}),
		Entry("not modified, of which there is nothing", "304", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(304) }),
	)

	DescribeTable("is had without a cache where that cannot be used, with one warning",
		func(spoil func(cache, entry string)) {
			cache, s, other := GinkgoT().TempDir(), newShelf(), newShelf()
			s.mustOpen(cache)
			entries, err := filepath.Glob(filepath.Join(cache, "http/*/entry.json"))
			Expect(err).NotTo(HaveOccurred())
			spoil(cache, entries[0])
			log := &warnings{Log: progress.Discard}
			o := opener()
			o.CacheDir, o.Log = cache, log
			for _, one := range []*shelf{s, other} {
				p, err := o.Package(context.Background(), web(one.url), flatten.Buildpack, flatten.Target{})
				Expect(err).NotTo(HaveOccurred())
				Expect(listing(p.Modules[0].Piece)).To(Equal(want("acme/a")))
			}
			Expect(log.told).To(HaveExactElements(HavePrefix("cache directory " + cache + " cannot be used")))
		},
		Entry("a file", func(cache, _ string) {
			Expect(os.RemoveAll(cache)).To(Succeed())
			Expect(os.WriteFile(cache, nil, 0o600)).To(Succeed())
		}),
		Entry("a file within", func(cache, _ string) {
			Expect(os.RemoveAll(filepath.Join(cache, "http"))).To(Succeed())
			Expect(os.WriteFile(filepath.Join(cache, "http"), nil, 0o600)).To(Succeed())
		}),
		Entry("a directory in the place of an entry", func(_, entry string) {
			Expect(os.Remove(entry)).To(Succeed())
			Expect(os.MkdirAll(filepath.Join(entry, "x"), 0o700)).To(Succeed())
		}),
	)

	It("needs a work directory", func() {
		_, err := (&source.Opener{}).Package(context.Background(), web(newShelf().url), flatten.Buildpack, flatten.Target{})
		Expect(err).To(MatchError(ContainSubstring("no work directory")))
		_, err = (&source.Opener{}).Package(context.Background(), path(file("x.tgz", packed(layer.Gzip, with()))), flatten.Buildpack, flatten.Target{})
		Expect(err).To(MatchError(ContainSubstring("no work directory")))
	})
})

func damageFile(p string) {
	data, err := os.ReadFile(p)
	Expect(err).NotTo(HaveOccurred())
	Expect(os.WriteFile(p, flip(data), 0o600)).To(Succeed())
}
