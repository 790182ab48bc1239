package filesys_test

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/filesys"
)

func TestFilesys(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "filesys")
}

var _ = Describe("a file system", func() {
	var dir string
	BeforeEach(func() { dir = GinkgoT().TempDir() })
	look := func(name string) os.FileInfo {
		GinkgoHelper()
		info, err := os.Lstat(filepath.Join(dir, name))
		Expect(err).NotTo(HaveOccurred())
		return info
	}

	It("lets one lock a directory at a time", func() {
		open := func() *os.File {
			f, err := os.Open(dir)
			Expect(err).NotTo(HaveOccurred())
			return f
		}
		first, second := open(), open()
		defer second.Close()
		locked, err := filesys.TryLock(first)
		if err != nil {
			Expect(first.Close()).To(Succeed())
			Skip("no locks: " + err.Error())
		}
		Expect(locked).To(BeTrue())
		Expect(filesys.TryLock(second)).To(BeFalse())
		Expect(first.Close()).To(Succeed())
		Expect(filesys.TryLock(second)).To(BeTrue())
	})

	It("knows the names of one file, its owner, and what is executable", func() {
		Expect(os.WriteFile(filepath.Join(dir, "a"), nil, 0o755)).To(Succeed())
		Expect(filesys.SharedBy(look("a"))).To(BeEmpty())
		Expect(os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b"))).To(Succeed())
		Expect(filesys.SharedBy(look("b"))).To(Equal(filesys.SharedBy(look("a"))))
		Expect(filesys.Mode(look("a")) & 0o111).NotTo(BeZero())
		if owner, known := filesys.OwnerOf(look("a")); known {
			Expect(owner.UID).To(Equal(os.Geteuid()))
			Expect(filesys.SharedBy(look("a"))).NotTo(BeEmpty())
		}
	})
})
