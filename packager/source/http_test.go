package source_test

import (
	"context"
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
	"laminate/packager/cache"
	"laminate/packager/location"
	"laminate/packager/source"
)

// shelf is a web server with one file.
type shelf struct {
	url       string
	body      string
	tag, date string
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
		if s.date != "" {
			w.Header().Set("Last-Modified", s.date)
			if r.Header.Get("If-Modified-Since") == s.date {
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

// mustOpen opens the file with the cache in a directory.
func (s *shelf) mustOpen(dir string) {
	GinkgoHelper()
	o := opener()
	o.Cache = openCache(dir)
	p, err := o.Package(context.Background(), web(s.url), flatten.Buildpack, flatten.Target{})
	Expect(err).NotTo(HaveOccurred())
	Expect(o.Cache.Close(context.Background())).To(Succeed())
	Expect(listing(p.Modules[0].Piece)).To(Equal(want("acme/a")))
}

func openCache(dir string) *cache.Cache {
	GinkgoHelper()
	c, err := cache.Open(dir, 0)
	Expect(err).NotTo(HaveOccurred())
	return c
}

// inCache finds files of the cache in a directory: of its entries or blobs.
func inCache(dir, what string) []string {
	GinkgoHelper()
	all, err := filepath.Glob(filepath.Join(dir, "v1", what))
	Expect(err).NotTo(HaveOccurred())
	return all
}

const entryFiles, blobFiles = "entries/*/*", "blobs/sha256/*/*"

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
		s, dir := newShelf(), GinkgoT().TempDir()
		for range 3 {
			s.mustOpen(dir)
		}
		Expect(s.asked.Load()).To(BeEquivalentTo(3))
		Expect(s.sent.Load()).To(BeEquivalentTo(1))
		s.tag, s.body = `"two"`, string(tarOf(component("acme/a").entries()...))
		for range 3 {
			s.mustOpen(dir)
		}
		Expect(s.asked.Load()).To(BeEquivalentTo(6))
		Expect(s.sent.Load()).To(BeEquivalentTo(2))
		Expect(inCache(dir, entryFiles)).To(HaveLen(1))
	})

	It("is asked for by its date where the server has no tags", func() {
		s, dir := newShelf(), GinkgoT().TempDir()
		s.tag, s.date = "", "Tue, 01 Jan 1980 00:00:01 GMT"
		for range 3 {
			s.mustOpen(dir)
		}
		Expect(s.asked.Load()).To(BeEquivalentTo(3))
		Expect(s.sent.Load()).To(BeEquivalentTo(1))
	})

	It("is not kept where the server cannot be asked for news", func() {
		s, dir := newShelf(), GinkgoT().TempDir()
		s.tag = ""
		s.mustOpen(dir)
		s.mustOpen(dir)
		Expect(s.sent.Load()).To(BeEquivalentTo(2))
		Expect(inCache(dir, entryFiles)).To(BeEmpty())
		Expect(inCache(dir, blobFiles)).To(BeEmpty())
		Expect(inCache(dir, "tmp/*")).To(BeEmpty())
	})

	It("is fetched again where the cache is damaged", func() {
		s, dir := newShelf(), GinkgoT().TempDir()
		for i, spoil := range []func(body, entry string){
			func(body, _ string) { damageFile(body) },
			func(body, _ string) { Expect(os.Truncate(body, 10)).To(Succeed()) },
			func(body, _ string) { Expect(os.Remove(body)).To(Succeed()) },
			func(_, entry string) { damageFile(entry) },
			func(_, entry string) { Expect(os.WriteFile(entry, []byte("{"), 0o600)).To(Succeed()) },
		} {
			s.mustOpen(dir)
			bodies, entries := inCache(dir, blobFiles), inCache(dir, entryFiles)
			Expect(bodies).To(HaveLen(1))
			Expect(entries).To(HaveLen(1))
			spoil(bodies[0], entries[0])
			s.mustOpen(dir)
			Expect(s.sent.Load()).To(BeEquivalentTo(i+2), "each time one more")
		}
	})

	It("stays in the work directory when the cache loses it", func() {
		s, dir := newShelf(), GinkgoT().TempDir()
		s.mustOpen(dir)
		o := opener()
		o.Cache = openCache(dir)
		p, err := o.Package(context.Background(), web(s.url), flatten.Buildpack, flatten.Target{})
		Expect(err).NotTo(HaveOccurred())
		Expect(s.sent.Load()).To(BeEquivalentTo(1))
		Expect(o.Cache.Clean()).To(Succeed())
		Expect(o.Cache.Close(context.Background())).To(Succeed())
		Expect(listing(p.Modules[0].Piece)).To(Equal(want("acme/a")))
	})

	It("leaves no secrets in the cache", func() {
		s, dir := newShelf(), GinkgoT().TempDir()
		s.mustOpen(dir)
		entries := inCache(dir, entryFiles)
		Expect(entries).To(HaveLen(1))
		data, err := os.ReadFile(entries[0])
		Expect(err).NotTo(HaveOccurred())
		Expect(string(data)).To(And(ContainSubstring(`"etag":"\"one\""`), ContainSubstring("/a.tgz"), Not(ContainSubstring("secret"))))
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
			o.Cache, o.Limits.Bytes, o.Stall = openCache(GinkgoT().TempDir()), 100_000, 200*time.Millisecond
			loc := web(strings.Replace(server.URL, "http://", "http://ann:secret@", 1) + "/x.tgz?token=secret")
			_, err := o.Package(context.Background(), loc, flatten.Buildpack, flatten.Target{})
			Expect(err).To(MatchError(And(HavePrefix(server.URL+"/x.tgz?…: "), ContainSubstring(why), Not(ContainSubstring("secret")))))
			Expect(len(err.Error())).To(BeNumerically("<", 500))
			info, err := o.Cache.Info(context.Background())
			Expect(err).NotTo(HaveOccurred())
			Expect(info.Bytes).To(BeZero())
			Expect(o.Cache.Close(context.Background())).To(Succeed())
			Expect(diskUse(o.WorkDir)).To(BeZero())
		},
		Entry("not there", "404 Not Found", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(404)
			fmt.Fprint(w, strings.Repeat("<html>", 100_000))
		}),
		Entry("too large", "exceed the limit of 100000", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "99999999999")
			w.WriteHeader(200)
		}),
		Entry("too large without saying so", "more than the limit of 100000 bytes", func(w http.ResponseWriter, r *http.Request) {
			for range 100 {
				fmt.Fprint(w, strings.Repeat("x", 10_000))
				w.(http.Flusher).Flush()
			}
		}),
		Entry("cut off", "unexpected EOF", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "x")
		}),
		Entry("silent", "does not respond", func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}),
		Entry("elsewhere, in the clear", "refused plain HTTP to example.com", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://example.com/x.tgz", http.StatusFound)
		}),
		Entry("not modified, of which there is nothing", "304", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(304) }),
	)

	DescribeTable("is had without a cache where that cannot be used, which tells so once",
		func(place string) {
			dir, s, other := GinkgoT().TempDir(), newShelf(), newShelf()
			o := opener()
			o.Cache = openCache(dir)
			Expect(os.WriteFile(filepath.Join(dir, "v1", place), nil, 0o600)).To(Succeed())
			for _, one := range []*shelf{s, other} {
				p, err := o.Package(context.Background(), web(one.url), flatten.Buildpack, flatten.Target{})
				Expect(err).NotTo(HaveOccurred())
				Expect(listing(p.Modules[0].Piece)).To(Equal(want("acme/a")))
			}
			Expect(o.Cache.Close(context.Background())).To(MatchError(ContainSubstring("not a directory")))
		},
		Entry(nil, "tmp"),
		Entry(nil, "blobs"),
		Entry(nil, "entries"),
	)

	It("needs a work directory", func() {
		_, err := (&source.Opener{}).Package(context.Background(), web(newShelf().url), flatten.Buildpack, flatten.Target{})
		Expect(err).To(MatchError(ContainSubstring("missing work directory")))
		_, err = (&source.Opener{}).Package(context.Background(), path(file("x.tgz", packed(layer.Gzip, with()))), flatten.Buildpack, flatten.Target{})
		Expect(err).To(MatchError(ContainSubstring("missing work directory")))
	})
})

func damageFile(p string) {
	data, err := os.ReadFile(p)
	Expect(err).NotTo(HaveOccurred())
	Expect(os.WriteFile(p, flip(data), 0o600)).To(Succeed())
}
