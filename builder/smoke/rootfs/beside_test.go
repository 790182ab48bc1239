package rootfs_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke/rootfs"
	"laminate/packager/cache"
	"laminate/packager/image"
)

const besideDir = "ROOTFS_TEST_DIR"

// beside is a run beside the tests: it unpacks into the cache in a directory until it is killed.
func beside(dir string) {
	RegisterFailHandler(func(message string, _ ...int) { panic(message) })
	img, err := viewOfMany()
	if err == nil {
		fmt.Println("begun")
	}
	for err == nil {
		var c *cache.Cache
		if c, err = cache.Open(dir, 0); err != nil {
			break
		}
		var root *rootfs.Root
		if root, err = rootfs.Unpack(ctx, img, rootfs.Options{Cache: c, WorkDir: "/nonexistent"}); err == nil {
			err = errors.Join(root.Close(), c.Clean(), c.Close(ctx))
		}
	}
	fmt.Println(err)
	os.Exit(2)
}

// manyFiles is the number of files of viewOfMany.
const manyFiles = 300

func viewOfMany() (*image.Image, error) {
	var entries []entry
	for i := range manyFiles {
		entries = append(entries, file(fmt.Sprintf("d%d/f%d", i%20, i), strings.Repeat("x", 1000)))
	}
	raw, err := rawImage(nil, workbenchTar(entries...))
	if err != nil {
		return nil, err
	}
	return viewOf(raw)
}

func openCache(dir string, limit int64) *cache.Cache {
	GinkgoHelper()
	c, err := cache.Open(dir, limit)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(c.Close(ctx)).To(Succeed()) })
	return c
}

// unpacked are the paths of all trees in a cache, finished or not.
func unpacked(dir string) []string {
	GinkgoHelper()
	finished, err := filepath.Glob(filepath.Join(dir, "v1", "trees", "*", "*", "root"))
	Expect(err).NotTo(HaveOccurred())
	begun, err := filepath.Glob(filepath.Join(dir, "v1", "tmp", "*", "tree", "root"))
	Expect(err).NotTo(HaveOccurred())
	return append(finished, begun...)
}

var _ = Describe("the cache", func() {
	var dir string
	var img *image.Image
	get := func(c *cache.Cache) *rootfs.Root {
		GinkgoHelper()
		root, err := rootfs.Unpack(ctx, img, rootfs.Options{Cache: c, WorkDir: "/nonexistent"})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(root.Close)
		return root
	}
	BeforeEach(func() {
		dir = filepath.Join(GinkgoT().TempDir(), "cache")
		var err error
		img, err = viewOfMany()
		Expect(err).NotTo(HaveOccurred())
	})

	It("keeps a root file system, which is unpacked once", func() {
		first := get(openCache(dir, 0))
		Expect(look(first.Path)).To(HaveLen(manyFiles + 21))
		before, err := os.Stat(first.Path)
		Expect(err).NotTo(HaveOccurred())
		second := get(openCache(dir, 0))
		after, err := os.Stat(second.Path)
		Expect(err).NotTo(HaveOccurred())
		Expect(os.SameFile(before, after)).To(BeTrue())
		Expect(second.Facts).To(Equal(first.Facts))
		Expect(second.Entries).To(Equal(manyFiles + 21))
	})

	It("is cleaned of what no run uses, and counts it", func() {
		c := openCache(dir, 0)
		root := get(c)
		info, err := c.Info(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Kinds).To(HaveLen(1))
		Expect(info.Kinds[0].Name).To(Equal("rootfs"))
		Expect(info.Kinds[0].Bytes).To(BeNumerically(">", manyFiles*4096))
		Expect(info.Bytes).To(BeNumerically(">=", info.Kinds[0].Bytes))

		other := openCache(dir, 0)
		Expect(other.Clean()).To(Succeed())
		Expect(look(root.Path)).To(HaveLen(manyFiles+21), "a run uses it")
		Expect(root.Close()).To(Succeed())
		Expect(other.Clean()).To(Succeed())
		Expect(root.Path).NotTo(BeADirectory())
		Expect(unpacked(dir)).To(BeEmpty())
		Expect(get(c).Entries).To(Equal(manyFiles + 21))
	})

	It("removes one that was not used lately if the cache is too large", func() {
		root := get(openCache(dir, 0))
		small := openCache(dir, 1<<20)
		Expect(small.Trim(ctx)).To(Succeed())
		Expect(root.Path).To(BeADirectory(), "a run uses it")
		Expect(root.Close()).To(Succeed())
		Expect(openCache(dir, 1<<30).Trim(ctx)).To(Succeed())
		Expect(root.Path).To(BeADirectory(), "there is room")
		Expect(small.Trim(ctx)).To(Succeed())
		Expect(root.Path).NotTo(BeADirectory())
		Expect(unpacked(dir)).To(BeEmpty())
	})

	DescribeTable("makes one again that is damaged", func(damage func(root string) error) {
		root := get(openCache(dir, 0))
		Expect(root.Close()).To(Succeed())
		Expect(damage(root.Path)).To(Succeed())
		Expect(look(get(openCache(dir, 0)).Path)).To(HaveLen(manyFiles + 21))
	},
		Entry("a file is missing", func(root string) error { return os.Remove(filepath.Join(root, "d1/f1")) }),
		Entry("a file is cut", func(root string) error { return os.Truncate(filepath.Join(root, "d1/f1"), 1) }),
		Entry("everything is missing", os.RemoveAll),
		Entry("its record is missing", func(root string) error { return os.Remove(filepath.Join(root, "../tree")) }),
		Entry("its record is cut", func(root string) error { return os.Truncate(filepath.Join(root, "../tree"), 70) }),
		Entry("it is a file", func(root string) error {
			at := filepath.Dir(root)
			return errors.Join(os.RemoveAll(at), os.WriteFile(at, nil, 0o600))
		}),
		Entry("it is a link", func(root string) error {
			at := filepath.Dir(root)
			return errors.Join(os.RemoveAll(at), os.Symlink("/etc", at))
		}),
	)

	It("says that one is damaged while another run uses it", func() {
		root := get(openCache(dir, 0))
		Expect(os.Remove(filepath.Join(root.Path, "d1/f1"))).To(Succeed())
		work := GinkgoT().TempDir()
		second, err := rootfs.Unpack(ctx, img, rootfs.Options{Cache: openCache(dir, 0), WorkDir: work})
		Expect(err).NotTo(HaveOccurred())
		Expect(second.Path).To(HavePrefix(work), "unpacked for this run")
		Expect(look(second.Path)).To(HaveLen(manyFiles + 21))
		Expect(second.Close()).To(Succeed())
		Expect(os.ReadDir(work)).To(BeEmpty())
	})

	It("serves runs side by side, of which one unpacks", func() {
		var runs sync.WaitGroup
		roots := make([]*rootfs.Root, 8)
		for i := range roots {
			c := openCache(dir, 0)
			runs.Go(func() {
				defer GinkgoRecover()
				roots[i] = get(c)
			})
		}
		runs.Wait()
		for _, r := range roots {
			Expect(r.Path).To(Equal(roots[0].Path))
		}
		Expect(look(roots[0].Path)).To(HaveLen(manyFiles + 21))
	})

	It("has nothing of a layer that turns out to be wrong", func() {
		raw, err := rawImage(nil, workbenchTar(file("a", "1")))
		Expect(err).NotTo(HaveOccurred())
		wrong, err := viewOf(wrongDiffID{raw})
		Expect(err).NotTo(HaveOccurred())
		_, err = rootfs.Unpack(ctx, wrong, rootfs.Options{Cache: openCache(dir, 0)})
		Expect(err).To(MatchError(ContainSubstring("diffID is")))
		Expect(unpacked(dir)).To(BeEmpty())
	})

	It("ends with its context", func() {
		stopped, stop := stoppedContext()
		defer stop()
		_, err := rootfs.Unpack(stopped, img, rootfs.Options{Cache: openCache(dir, 0), WorkDir: "/nonexistent"})
		Expect(err).To(MatchError(ContainSubstring("context canceled")))
		Expect(unpacked(dir)).To(BeEmpty())
	})

	It("believes nothing that a killed run left, and removes it", func() {
		for i := range 12 {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), besideDir+"="+dir)
			out, err := cmd.StdoutPipe()
			Expect(err).NotTo(HaveOccurred())
			Expect(cmd.Start()).To(Succeed())
			said := make([]byte, 100)
			n, err := out.Read(said)
			Expect(err).NotTo(HaveOccurred())
			Expect(string(said[:n])).To(Equal("begun\n"))
			time.Sleep(time.Duration(i*7%40+1) * time.Millisecond)
			Expect(cmd.Process.Kill()).To(Succeed())
			Expect(cmd.Wait()).To(MatchError("signal: killed"))

			root := get(openCache(dir, 0))
			Expect(look(root.Path)).To(HaveLen(manyFiles + 21))
			Expect(unpacked(dir)).To(ConsistOf(root.Path))
			Expect(root.Close()).To(Succeed())
		}
	})
})
