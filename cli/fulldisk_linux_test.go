package cli_test

import (
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/scratch"
)

var _ = Describe("a full disk", func() {
	var small string // a file system of one megabyte
	BeforeEach(func() {
		if os.Geteuid() != 0 {
			Skip("only root can mount a small file system")
		}
		enterPackages("offline")
		heavy := make([]byte, 3<<20) // that nothing compresses
		rand.New(rand.NewSource(1)).Read(heavy)
		Expect(os.WriteFile("../../buildpacks/hello-world/heavy", heavy, 0o644)).To(Succeed())
		small = GinkgoT().TempDir()
		if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=1m"); err != nil {
			Skip("no small file system can be mounted here: " + err.Error())
		}
		DeferCleanup(func() { Expect(syscall.Unmount(small, 0)).To(Succeed()) })
	})
	// below lists what is in a directory, and in those in it.
	below := func(dir string) (all []string) {
		GinkgoHelper()
		Expect(filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			if path != dir {
				all = append(all, strings.TrimPrefix(path, dir+"/"))
			}
			return err
		})).To(Succeed())
		return all
	}

	DescribeTable("for the output ends in one error that names it, and leaves nothing",
		func(dest, named string, before ...string) {
			for _, dir := range before {
				Expect(os.Mkdir(filepath.Join(small, dir), 0o755)).To(Succeed())
			}
			r := laminate("package", "-q", strings.Replace(dest, "SMALL", small, 1))
			Expect(r.code).To(Equal(1))
			Expect(r.stdout).To(BeEmpty())
			Expect(r.stderr).To(Equal("laminate: output " + filepath.Join(small, named) + ": no space left on device\n"))
			Expect(below(small)).To(ConsistOf(before))
		},
		Entry("a .cnb file", "SMALL/out.cnb", "out.cnb"),
		Entry("an OCI archive", "oci-archive:SMALL/out.tar", "out.tar"),
		Entry("a Docker archive", "docker-archive:SMALL/out.tar", "out.tar"),
		Entry("a new layout", "oci:SMALL/layout:1", "layout"),
		Entry("a layout in an empty directory", "oci:SMALL/layout:1", "layout", "layout"),
	)

	It("for TMPDIR ends in one error that names it and says what to do, and leaves nothing", func() {
		for _, dest := range []string{"out.cnb", "oci:layout:1"} {
			r := laminateIn(map[string]string{"TMPDIR": small}, "package", "-q", "--no-cache", dest)
			Expect(r.code).To(Equal(1))
			Expect(r.stderr).To(Equal("laminate: work directory in " + small + ": no space left on device; free some space there, or set TMPDIR to another directory\n"))
			Expect(below(small)).To(BeEmpty())
		}
		Expect("out.cnb").NotTo(BeAnExistingFile())
		Expect("layout").NotTo(BeAnExistingFile())
	})

	It("for the cache changes no output, and gives one warning", func() {
		want := digest(laminate("package", "-q", "--no-cache", "a.cnb"))
		dir := filepath.Join(small, "cache")
		r := laminateIn(map[string]string{"LAMINATE_CACHE_DIR": dir}, "package", "b.cnb")
		Expect(digest(r)).To(Equal(want))
		Expect(strings.Count(r.stderr, "warning: ")).To(Equal(1))
		Expect(r.stderr).To(ContainSubstring("warning: the cache cannot be used, so what was made or fetched is not kept: " + filepath.Join(dir, "v1") + ": no space left on device"))
		for _, path := range below(small) {
			Expect(scratch.Is(filepath.Base(path))).To(BeFalse(), path)
		}
	})
})
