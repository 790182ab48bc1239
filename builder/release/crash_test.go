package release_test

import (
	"net/http"
	"os"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/release"
	"laminate/fixtures"
)

// dieAt lets the registry break all connections from the nth request on. With lost, it still does what
// that request asks for, and no one hears of it.
func (l *lab) dieAt(n int64, lost bool) {
	var seen atomic.Int64
	l.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		switch now := seen.Add(1); {
		case now < n:
			return false
		case now == n && lost:
			l.ServeQuietly(r)
		}
		panic(http.ErrAbortHandler)
	})
}

// few is how many requests there are from one at which a run dies to the next; which they are differs
// with the seed. With LAMINATE_SWEEP set, runs die at each.
const few = 13

var _ = Describe("a registry that dies at any request", func() {
	// left are the manifests, blobs and tags that a plain run leaves in a registry of its own.
	type left struct {
		tags    map[string]string
		written map[string]bool
	}
	// sweep lets a run die at every request, and runs again.
	sweep := func(prepare func(l *lab), toml func(l *lab) string, version string) {
		GinkgoHelper()
		plain := newLab()
		plain.alias = "registry.example.com" // it is in the provenance
		prepare(plain)
		plain.Reset()
		plain.succeed(toml(plain), version)
		total := len(plain.Requests(nil))
		want := left{plain.allTags(), plain.written()}
		first, step := 1+int(GinkgoRandomSeed()%few), few
		if os.Getenv("LAMINATE_SWEEP") != "" {
			first, step = 1, 1
		}
		for n := first; n <= total; n += step {
			lost := (int64(n/step)+GinkgoRandomSeed())%2 == 0
			l := &lab{plain.Bench, fixtures.CountedRegistry(GinkgoT()), plain.alias}
			prepare(l)
			l.Reset()
			before := l.allTags()
			l.Reset()
			l.dieAt(int64(n), lost)
			o := l.run(toml(l), version)
			l.Before(nil)
			if o.err == nil {
				Expect(l.allTags()).To(Equal(want.tags), "run %d succeeded", n)
				continue // requests were fewer, as some run at the same time
			}
			between := l.tags()
			for tag, digest := range between {
				Expect(digest).To(BeElementOf(before[tag], want.tags[tag]), "%s after request %d", tag, n)
			}
			o = l.run(toml(l), version)
			Expect(o.err).NotTo(HaveOccurred(), "after request %d", n)
			Expect(o.State).To(BeElementOf(release.Pending, release.Released), "after request %d", n)
			Expect(l.allTags()).To(Equal(want.tags), "after request %d", n)
			for what := range l.written() {
				Expect(want.written).To(HaveKey(what), "after request %d", n)
			}
		}
		AddReportEntry("requests", total)
	}

	It("leaves what the next run finishes, the first time", func() {
		sweep(func(*lab) {}, func(l *lab) string {
			return l.toml("builder mirror", "flatten = 'auto'\nmax-layers = 5", variants) + l.javaTOML("java")
		}, "1.0.0")
	})

	It("leaves what the next run finishes, after a change", func() {
		toml := func(l *lab) string {
			return l.toml("builder mirror", "flatten = 'auto'\nmax-layers = 5\ntargets = ['linux/amd64', 'linux/arm64']")
		}
		sweep(func(l *lab) {
			l.Write("acme_a@1.0.0/lib/data", "before")
			l.succeed(toml(l), "0.9.0")
			l.Write("acme_a@1.0.0/lib/data", "after")
		}, toml, "1.0.0")
	})

	It("leaves what the next run finishes, where only moving tags name the last release", func() {
		toml := func(l *lab) string {
			return l.toml("builder mirror", "flatten = 'auto'\nmax-layers = 5\ntags = ['a', '{version}', 'b']")
		}
		sweep(func(l *lab) {
			l.Write("acme_a@1.0.0/lib/data", "before")
			l.succeed(l.toml("builder mirror", "flatten = 'auto'\nmax-layers = 5\ntags = ['a', 'b']"), "0.9.0")
			l.Write("acme_a@1.0.0/lib/data", "after")
		}, toml, "1.0.0")
	})
})
