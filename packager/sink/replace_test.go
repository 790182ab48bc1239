package sink_test

import (
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/sink"
)

var _ = Describe("replacing files", func() {
	var dir string

	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string, mode os.FileMode) {
		GinkgoHelper()
		Expect(os.WriteFile(at(name), []byte(text), 0o600)).To(Succeed())
		Expect(os.Chmod(at(name), mode)).To(Succeed())
	}
	read := func(name string) string {
		GinkgoHelper()
		text, err := os.ReadFile(at(name))
		Expect(err).NotTo(HaveOccurred())
		return string(text)
	}
	replacement := func(name, old, new string) sink.Replacement {
		return sink.Replacement{Path: at(name), Old: []byte(old), New: []byte(new)}
	}

	BeforeEach(func() {
		dir = GinkgoT().TempDir()
		write("a", "old a", 0o640)
		write("b", "old b", 0o755)
	})

	AfterEach(func() {
		Expect(filepath.Glob(at(".*"))).To(BeEmpty(), "nothing is left beside them")
	})

	It("keeps modes", func() {
		Expect(sink.ReplaceFiles([]sink.Replacement{replacement("a", "old a", "new a"), replacement("b", "old b", "")})).To(Succeed())
		Expect([]string{read("a"), read("b")}).To(Equal([]string{"new a", ""}))
		for name, mode := range map[string]os.FileMode{"a": 0o640, "b": 0o755} {
			info, err := os.Stat(at(name))
			Expect(err).NotTo(HaveOccurred())
			Expect(info.Mode()).To(Equal(mode))
		}
	})

	It("keeps symbolic links", func() {
		Expect(os.Mkdir(at("real"), 0o755)).To(Succeed())
		write("real/c", "old c", 0o600)
		Expect(os.Symlink("real/c", at("c"))).To(Succeed())
		Expect(sink.ReplaceFiles([]sink.Replacement{replacement("c", "old c", "new c")})).To(Succeed())
		Expect(read("real/c")).To(Equal("new c"))
		Expect(os.Readlink(at("c"))).To(Equal("real/c"))
		Expect(filepath.Glob(at("real/.*"))).To(BeEmpty())
	})

	It("replaces none if one of them holds something else", func() {
		for _, now := range []string{"other", "old", "old bb", ""} {
			write("b", now, 0o644)
			Expect(sink.ReplaceFiles([]sink.Replacement{replacement("a", "old a", "new a"), replacement("b", "old b", "new b")})).
				To(MatchError(at("b") + " has changed meanwhile, and was not written; run the command again"))
			Expect([]string{read("a"), read("b")}).To(Equal([]string{"old a", now}))
		}
	})

	It("replaces none if one of them is missing, or a directory", func() {
		Expect(os.Remove(at("b"))).To(Succeed())
		Expect(sink.ReplaceFiles([]sink.Replacement{replacement("a", "old a", "new a"), replacement("b", "old b", "new b")})).
			To(MatchError("output " + at("b") + ": no such file or directory"))
		Expect(os.Mkdir(at("b"), 0o755)).To(Succeed())
		Expect(sink.ReplaceFiles([]sink.Replacement{replacement("a", "old a", "new a"), replacement("b", "old b", "new b")})).
			To(MatchError("output " + at("b") + ": is a directory, not a file"))
		Expect(read("a")).To(Equal("old a"))
	})
})
