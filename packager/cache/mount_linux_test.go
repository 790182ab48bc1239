package cache_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("a cache on a file system that takes nothing", func() {
	// check uses a cache with one entry, which it has to give, whatever else
	// there is; and no more than one thing to tell.
	check := func(dir, why string) {
		GinkgoHelper()
		c := openBroken(dir, 0)
		for i := range 3 {
			c.Put(fmt.Sprintf("layer %d", i), record{})
			keep(c, fmt.Sprintf("piece %d", i), noise(uint64(i), 3<<20), record{})
		}
		content, r, ok := got(c, "piece before")
		Expect(ok).To(BeTrue())
		Expect(content).To(Equal("content"))
		Expect(r.Count).To(Equal(7))
		Expect(c.Has("piece 0")).To(BeFalse())
		Expect(c.Has("layer 1")).To(BeFalse(), "the disk is filled once")
		Expect(c.Close(ctx)).To(MatchError(filepath.Join(dir, "v1") + ": " + why))
		Expect(c.Close(ctx)).To(Succeed())
	}

	// mount makes a file system of 2 MB, if it may.
	mount := func() string {
		dir := GinkgoT().TempDir()
		if os.Geteuid() != 0 {
			Skip("only root can mount a small file system")
		}
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
			Skip("no small file system can be mounted here: " + err.Error())
		}
		DeferCleanup(func() { Expect(syscall.Unmount(dir, 0)).To(Succeed()) })
		keep(open(dir, 0), "piece before", "content", record{Count: 7})
		return dir
	}

	It("returns what it has when the disk is full, and leaves nothing unfinished", func() {
		dir := mount()
		check(dir, "no space left on device")
		Expect(files(dir, "tmp")).To(BeEmpty())
	})

	It("returns what it has where it can only be read", func() {
		dir := mount()
		Expect(syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "")).To(Succeed())
		check(dir, "read-only file system")
		c := open(dir, 0)
		Expect(c.Trim(ctx)).To(Succeed(), "there is nothing to remove")
	})
})
