package cache_test

import (
	"os"
	"path/filepath"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/cache"
)

var _ = Describe("a spoiled cache", func() {
	It("returns nothing wrong, whatever bit is flipped and wherever a file is cut off", func() {
		dir := GinkgoT().TempDir()
		c := open(dir, 0)
		for _, below := range []string{"entries", "blobs"} {
			keep(c, "piece a", "content of a piece", record{"a", 1})
			whole, err := os.ReadFile(only(dir, below))
			Expect(err).NotTo(HaveOccurred())
			var spoiled [][]byte
			for i := range whole {
				flipped := append([]byte(nil), whole...)
				flipped[i] ^= 1 << (i % 8)
				spoiled = append(spoiled, flipped, whole[:i])
			}
			spoiled = append(spoiled, append(whole[:len(whole):len(whole)], 'x'), make([]byte, len(whole)))
			for _, data := range spoiled {
				Expect(os.WriteFile(only(dir, below), data, 0o600)).To(Succeed())
				_, _, ok := got(c, "piece a")
				Expect(ok).To(BeFalse(), "%s: %q", below, data)
				Expect(files(dir, "entries")).To(BeEmpty())
				keep(c, "piece a", "content of a piece", record{"a", 1})
				content, r, ok := got(c, "piece a")
				Expect(ok).To(BeTrue())
				Expect(content).To(Equal("content of a piece"))
				Expect(r).To(Equal(record{"a", 1}))
			}
		}
	})

	It("does not give one key's entry to another, nor a record of another kind", func() {
		dir := GinkgoT().TempDir()
		c := open(dir, 0)
		c.Put("layer a", record{"a", 1})
		c.Put("layer b", record{"b", 1})
		data, err := os.ReadFile(entryOf(dir, "layer b"))
		Expect(err).NotTo(HaveOccurred())
		Expect(os.WriteFile(entryOf(dir, "layer a"), data, 0o600)).To(Succeed())
		Expect(c.Has("layer a")).To(BeFalse())
		_, ok := c.Get(ctx, "layer a", nil)
		Expect(ok).To(BeFalse())
		Expect(entryOf(dir, "layer a")).NotTo(BeAnExistingFile())
		var list []string
		_, ok = c.Get(ctx, "layer b", &list)
		Expect(ok).To(BeFalse())
		Expect(entryOf(dir, "layer b")).NotTo(BeAnExistingFile())
	})

	It("gets a whole blob in the place of one that nobody found spoiled yet", func() {
		dir := GinkgoT().TempDir()
		c := open(dir, 0)
		keep(c, "piece a", "content", record{})
		Expect(os.WriteFile(only(dir, "blobs"), []byte("CONTENT"), 0o600)).To(Succeed())
		keep(c, "piece b", "content", record{})
		for _, key := range []string{"piece a", "piece b"} {
			content, _, ok := got(c, key)
			Expect(ok).To(BeTrue())
			Expect(content).To(Equal("content"))
		}
	})

	It("has no entry whose blob is gone", func() {
		dir := GinkgoT().TempDir()
		c := open(dir, 0)
		keep(c, "piece a", "content", record{})
		Expect(os.Remove(only(dir, "blobs"))).To(Succeed())
		Expect(c.Has("piece a")).To(BeFalse())
		_, _, ok := got(c, "piece a")
		Expect(ok).To(BeFalse())
		Expect(files(dir, "entries")).To(BeEmpty())
	})

	DescribeTable("heals where something stands in the place of a file",
		func(place func(file string)) {
			dir := GinkgoT().TempDir()
			c := open(dir, 0)
			for _, below := range []string{"entries", "blobs"} {
				keep(c, "piece a", "content", record{})
				file := only(dir, below)
				Expect(os.Remove(file)).To(Succeed())
				place(file)
				_, _, ok := got(c, "piece a")
				Expect(ok).To(BeFalse())
				keep(c, "piece a", "content", record{})
				content, _, ok := got(c, "piece a")
				Expect(ok).To(BeTrue())
				Expect(content).To(Equal("content"))
			}
		},
		Entry("a directory", func(file string) { Expect(os.MkdirAll(filepath.Join(file, "x"), 0o700)).To(Succeed()) }),
		Entry("a pipe that nobody writes to", func(file string) { Expect(syscall.Mkfifo(file, 0o600)).To(Succeed()) }),
		Entry("a link out of the cache", func(file string) { Expect(os.Symlink("/etc/passwd", file)).To(Succeed()) }),
		Entry("a link to itself", func(file string) { Expect(os.Symlink(filepath.Base(file), file)).To(Succeed()) }),
	)

	It("writes and removes nothing behind a link that is put into it", func() {
		for _, name := range []string{"entries", "blobs", "blobs/sha256", "tmp"} {
			dir, outside := GinkgoT().TempDir(), GinkgoT().TempDir()
			precious := filepath.Join(outside, "precious")
			Expect(os.WriteFile(precious, []byte("mine"), 0o600)).To(Succeed())
			age(precious, 2*time.Hour)
			link := filepath.Join(dir, "v1", name)
			c := openBroken(dir, 10_000)
			keep(c, "piece a", noise(1, 8000), record{})
			Expect(os.RemoveAll(link)).To(Succeed())
			Expect(os.MkdirAll(filepath.Dir(link), 0o700)).To(Succeed())
			Expect(os.Symlink(outside, link)).To(Succeed())

			_, err := cache.Open(dir, 10_000)
			Expect(err).To(MatchError(link + ": is a symbolic link; remove it"))
			keep(c, "piece a", noise(1, 8000), record{})
			keep(c, "piece b", noise(2, 8000), record{})
			_, _, _ = got(c, "piece a")
			_ = c.Trim(ctx)
			Expect(c.Clean()).To(Succeed(), name)
			_ = c.Close(ctx)
			if info, err := os.Lstat(link); err == nil {
				Expect(info.Mode().Type()).NotTo(Equal(os.ModeSymlink), "the link itself is removed")
			}
			left, err := os.ReadDir(outside)
			Expect(err).NotTo(HaveOccurred())
			Expect(left).To(HaveLen(1), name)
			Expect(precious).To(BeAnExistingFile())
		}
	})
})
