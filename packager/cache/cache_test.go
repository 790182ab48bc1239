package cache_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/cache"
)

var _ = Describe("a cache", func() {
	var dir string
	var c *cache.Cache
	BeforeEach(func() {
		dir = filepath.Join(GinkgoT().TempDir(), "cache")
		c = open(dir, 0)
	})

	It("returns what was kept, to this run and the next", func() {
		c.Put("layer a", record{"a", 1})
		keep(c, "piece b", "content of b", record{"b", 2})
		for range 2 {
			var r record
			b, ok := c.Get(ctx, "layer a", &r)
			Expect(ok).To(BeTrue())
			Expect(b).To(BeNil())
			Expect(b.Close()).To(Succeed())
			Expect(r).To(Equal(record{"a", 1}))
			b, ok = c.Get(ctx, "piece b", &r)
			Expect(ok).To(BeTrue())
			Expect(r).To(Equal(record{"b", 2}))
			Expect(b.Size()).To(BeEquivalentTo(12))
			Expect(b.Digest().String()).To(Equal(fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("content of b")))))
			Expect(read(b)).To(Equal("content of b"))
			Expect(c.Has("layer a")).To(BeTrue())
			Expect(c.Has("piece b")).To(BeTrue())
			Expect(c.Has("piece a")).To(BeFalse())
			_, ok = c.Get(ctx, "piece a", nil)
			Expect(ok).To(BeFalse())
			c = open(dir, 0)
		}
	})

	It("returns the last of what was kept under one key, and one blob to many keys", func() {
		keep(c, "piece a", "one", record{Count: 1})
		keep(c, "piece a", "two", record{Count: 2})
		keep(c, "piece b", "two", record{Count: 3})
		content, r, ok := got(c, "piece a")
		Expect(ok).To(BeTrue())
		Expect(content).To(Equal("two"))
		Expect(r.Count).To(Equal(2))
		content, r, _ = got(c, "piece b")
		Expect(content).To(Equal("two"))
		Expect(r.Count).To(Equal(3))
		Expect(files(dir, "blobs")).To(HaveLen(2), "one, which nobody names any more, and two")
	})

	It("keeps empty blobs, and blobs without a record", func() {
		w := c.Create("piece a")
		w.Commit(nil)
		w.Commit(nil) // does nothing
		w.Discard()   // neither
		b, ok := c.Get(ctx, "piece a", nil)
		Expect(ok).To(BeTrue())
		Expect(read(b)).To(BeEmpty())
	})

	It("has nothing of what was discarded or not committed", func() {
		w := c.Create("piece a")
		_, err := io.WriteString(w, "content")
		Expect(err).NotTo(HaveOccurred())
		Expect(c.Has("piece a")).To(BeFalse())
		Expect(files(dir, "tmp")).To(HaveLen(1))
		w.Discard()
		w.Discard()
		w.Commit(record{})
		Expect(c.Has("piece a")).To(BeFalse())
		Expect(files(dir, "tmp")).To(BeEmpty())
		Expect(files(dir, "blobs")).To(BeEmpty())
	})

	It("is the user's alone, whatever keys are called", func() {
		defer syscall.Umask(syscall.Umask(0))
		dir := filepath.Join(GinkgoT().TempDir(), "new")
		c := open(dir, 0)
		for _, key := range []string{"../../../outside", "/etc/passwd", "", "a\x00b", strings.Repeat("x", 5000)} {
			keep(c, key, key, record{Name: key})
			content, r, ok := got(c, key)
			Expect(ok).To(BeTrue(), key)
			Expect(content).To(Equal(key))
			Expect(r.Name).To(Equal(key))
		}
		beside, err := os.ReadDir(filepath.Dir(dir))
		Expect(err).NotTo(HaveOccurred())
		Expect(beside).To(HaveLen(1))
		err = filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
			Expect(err).NotTo(HaveOccurred())
			Expect(info.Mode().Perm()).To(Equal(map[bool]os.FileMode{true: 0o700, false: 0o600}[info.IsDir()]), path)
			return nil
		})
		Expect(err).NotTo(HaveOccurred())
		Expect(os.ReadFile(filepath.Join(dir, "v1/CACHEDIR.TAG"))).To(HavePrefix("Signature: 8a477f597d28d172789f06886806bc55\n"))
	})

	It("is refused where others can put things into it", func() {
		Expect(os.Chmod(filepath.Join(dir, "v1"), 0o777)).To(Succeed())
		_, err := cache.Open(dir, 0)
		Expect(err).To(MatchError(ContainSubstring("writable by all users")))
		Expect(os.Chmod(filepath.Join(dir, "v1"), 0o755)).To(Succeed())
		_, err = cache.Open(dir, 0)
		Expect(err).NotTo(HaveOccurred())
		if os.Geteuid() != 0 {
			Skip("only root can give the directory to somebody else")
		}
		Expect(os.Chown(filepath.Join(dir, "v1"), 1, 1)).To(Succeed())
		_, err = cache.Open(dir, 0)
		Expect(err).To(MatchError(ContainSubstring("owned by another user")))
	})

	It("does not keep a record that is too large, and tells so once", func() {
		c, err := cache.Open(dir, 0)
		Expect(err).NotTo(HaveOccurred())
		c.Put("layer a", strings.Repeat("x", 5<<20))
		Expect(c.Has("layer a")).To(BeFalse())
		Expect(c.Close(ctx)).To(MatchError(ContainSubstring("record for layer a: 5")))
	})

	It("marks what is used, but not every time", func() {
		c.Put("layer a", record{})
		entry := entryOf(dir, "layer a")
		for _, by := range []time.Duration{time.Hour, -time.Hour, time.Minute} {
			age(entry, by)
			before, err := os.Stat(entry)
			Expect(err).NotTo(HaveOccurred())
			Expect(c.Has("layer a")).To(BeTrue())
			_, ok := c.Get(ctx, "layer a", nil)
			Expect(ok).To(BeTrue())
			after, err := os.Stat(entry)
			Expect(err).NotTo(HaveOccurred())
			if by == time.Minute {
				Expect(after.ModTime()).To(Equal(before.ModTime()))
			} else {
				Expect(after.ModTime()).To(BeTemporally("~", time.Now(), 10*time.Second))
			}
		}
	})

	It("returns nothing when it is told to stop, and removes nothing then", func(spec SpecContext) {
		keep(c, "piece a", "content", record{})
		stopped, stop := stoppedContext(spec)
		defer stop()
		_, ok := c.Get(stopped, "piece a", nil)
		Expect(ok).To(BeFalse())
		_, _, ok = got(c, "piece a")
		Expect(ok).To(BeTrue())
	})

	It("tells what it holds, by kind, and can be emptied", func() {
		empty, err := c.Info(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(empty).To(Equal(cache.Info{Limit: cache.DefaultLimit}))
		c.Put("layer a", record{})
		keep(c, "piece a", noise(1, 10_000), record{})
		keep(c, "piece b", noise(1, 10_000), record{})
		keep(c, "piece c", noise(2, 100), record{})
		unfinished := c.Create("piece d")
		Expect(unfinished.Write([]byte("x"))).To(Equal(1))
		info, err := c.Info(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Entries).To(Equal(4))
		Expect(info.Kinds).To(Equal([]cache.Kind{{Name: "layer", Entries: 1, Bytes: 4096}, {Name: "piece", Entries: 3, Bytes: 3*4096 + 3*4096 + 4096}}))
		Expect(info.Bytes).To(BeEquivalentTo(8 * 4096))

		held, ok := c.Get(ctx, "piece a", nil)
		Expect(ok).To(BeTrue())
		Expect(c.Clean()).To(Succeed())
		Expect(c.Info(ctx)).To(Equal(empty))
		Expect(c.Has("layer a")).To(BeFalse())
		Expect(read(held)).To(Equal(noise(1, 10_000)), "what was got stays")
		unfinished.Commit(record{})
		Expect(c.Has("piece d")).To(BeTrue())
		Expect(c.Clean()).To(Succeed())
		Expect(c.Info(ctx)).To(Equal(empty))
		keep(c, "piece a", "again", record{})
		content, _, ok := got(c, "piece a")
		Expect(ok).To(BeTrue())
		Expect(content).To(Equal("again"))
	})

	It("has nothing and keeps nothing if there is none", func() {
		var c *cache.Cache
		c.Put("layer a", record{})
		keep(c, "piece a", "content", record{})
		w := c.Create("piece b")
		w.Discard()
		Expect(c.Has("piece a")).To(BeFalse())
		_, ok := c.Get(ctx, "piece a", nil)
		Expect(ok).To(BeFalse())
		Expect(c.Info(ctx)).To(Equal(cache.Info{}))
		Expect(c.Trim(ctx)).To(Succeed())
		Expect(c.Clean()).To(Succeed())
		Expect(c.Close(ctx)).To(Succeed())
	})
})

var _ = Describe("a blob", func() {
	It("stays readable, and what it is linked to, when the cache loses it", func() {
		dir, work := GinkgoT().TempDir(), GinkgoT().TempDir()
		c := open(dir, 0)
		keep(c, "piece a", "content", record{})
		b, ok := c.Get(ctx, "piece a", nil)
		Expect(ok).To(BeTrue())
		linked, err := b.Link(work)
		Expect(err).NotTo(HaveOccurred())
		sameFile(linked, only(dir, "blobs"), true)

		By("removing it")
		Expect(c.Clean()).To(Succeed())
		copied, err := b.Link(work)
		Expect(err).NotTo(HaveOccurred())

		By("putting another in its place")
		Expect(os.MkdirAll(filepath.Dir(blobFile(dir, b)), 0o700)).To(Succeed())
		Expect(os.WriteFile(blobFile(dir, b), []byte("other"), 0o600)).To(Succeed())
		again, err := b.Link(work)
		Expect(err).NotTo(HaveOccurred())
		sameFile(again, blobFile(dir, b), false)

		first, second := b.Reader(), b.Reader()
		Expect(io.ReadAll(first)).To(BeEquivalentTo("content"))
		Expect(io.ReadAll(second)).To(BeEquivalentTo("content"))
		Expect(b.Close()).To(Succeed())
		_, err = io.ReadAll(b.Reader())
		Expect(err).To(MatchError(os.ErrClosed))
		for _, file := range []string{linked, copied, again} {
			Expect(os.ReadFile(file)).To(BeEquivalentTo("content"))
		}
	})

	It("is linked nowhere where there is no directory", func() {
		dir := GinkgoT().TempDir()
		c := open(dir, 0)
		keep(c, "piece a", "content", record{})
		b, ok := c.Get(ctx, "piece a", nil)
		Expect(ok).To(BeTrue())
		_, err := b.Link(filepath.Join(dir, "nowhere"))
		Expect(err).To(MatchError(os.ErrNotExist))
		Expect(b.Close()).To(Succeed())
	})
})

func blobFile(dir string, b *cache.Blob) string {
	return filepath.Join(dir, "v1", "blobs", "sha256", b.Digest().Hex[:2], b.Digest().Hex)
}

func sameFile(a, b string, same bool) {
	GinkgoHelper()
	one, err := os.Stat(a)
	Expect(err).NotTo(HaveOccurred())
	other, err := os.Stat(b)
	Expect(err).NotTo(HaveOccurred())
	Expect(os.SameFile(one, other)).To(Equal(same))
}
