//go:build linux

package ownership_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke/ownership"
)

func TestOwnership(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "builder/smoke/ownership")
}

// layers is a directory of layers, in which the functions act.
type layers string

func (l layers) at(path string) string { return filepath.Join(string(l), path) }

func (l layers) write(path, text string) {
	GinkgoHelper()
	Expect(os.MkdirAll(filepath.Dir(l.at(path)), 0o755)).To(Succeed())
	Expect(os.WriteFile(l.at(path), []byte(text), 0o644)).To(Succeed())
}

// put writes into a file that exists, with flags.
func (l layers) put(path, text string, flags int) {
	GinkgoHelper()
	f, err := os.OpenFile(l.at(path), os.O_WRONLY|flags, 0)
	Expect(err).NotTo(HaveOccurred())
	_, err = f.WriteString(text)
	Expect(err).NotTo(HaveOccurred())
	Expect(f.Close()).To(Succeed())
}

// jre is the turn of acme/jre, the first buildpack, and maven what acme/maven does of its own.
func (l layers) jre() {
	l.write("acme_jre/jre/bin/java", "java")
	l.write("acme_jre/jre/lib/a/one", "1")
	l.write("acme_jre/jre/lib/a/two", "2")
	Expect(os.Symlink("bin/java", l.at("acme_jre/jre/java"))).To(Succeed())
	l.write("acme_jre/jre.toml", "[types]\nlaunch = true\n")
	l.write("acme_jre/launch.toml", "")
}

func (l layers) maven() {
	l.write("acme_maven/repository/pom", "<pom/>")
	l.write("acme_maven/repository.toml", "")
}

// writes returns what is found in a build of acme/jre, acme/maven and acme/late, in which do is done in
// the turn of acme/maven, as "CHANGE PATH".
func writes(do func(l layers)) (found []string) {
	GinkgoHelper()
	l := layers(GinkgoT().TempDir())
	l.write("config/metadata.toml", "")
	l.write("group.toml", "")
	l.write("acme_late/restored/file", "from the cache")
	turns, err := ownership.New(string(l), []string{"acme/jre", "acme/maven", "acme/late", "acme/never"})
	Expect(err).NotTo(HaveOccurred())
	turn := func(id string, do func()) {
		Expect(os.MkdirAll(l.at(strings.ReplaceAll(id, "/", "_")), 0o755)).To(Succeed()) // as the lifecycle does
		turns.Begin(id)
		do()
	}
	turn("acme/jre", l.jre)
	turn("acme/maven", func() { l.maven(); do(l) })
	turn("acme/late", func() { l.write("acme_late/restored/file", "new") })
	l.write("config/metadata.toml", "exported")
	all, err := turns.End()
	Expect(err).NotTo(HaveOccurred())
	for _, w := range all {
		Expect(w.Buildpack).To(Equal("acme/maven"))
		if w.Owner == ownership.Lifecycle {
			Expect(w.Layer).To(BeElementOf("config", "sbom"))
			found = append(found, fmt.Sprintf("%s %s of %q", w.Change, strings.TrimPrefix(w.Path, "/layers/"), w.Layer))
			continue
		}
		Expect("/layers/" + strings.ReplaceAll(w.Owner, "/", "_") + "/").To(SatisfyAny(BeAPrefixOf(w.Path), Equal(w.Path+"/")))
		found = append(found, fmt.Sprintf("%s %s of %q", w.Change, strings.TrimPrefix(w.Path, "/layers/"), w.Layer))
	}
	return found
}

// BeAPrefixOf matches a string that the other begins with.
func BeAPrefixOf(s string) OmegaMatcher {
	return WithTransform(func(prefix string) bool { return strings.HasPrefix(s, prefix) }, BeTrue())
}

func must(err error) { GinkgoHelper(); Expect(err).NotTo(HaveOccurred()) }

var _ = DescribeTable("A write into another's layer is found:", func(do func(l layers), want ...string) {
	Expect(writes(do)).To(Equal(want))
},
	Entry("create", func(l layers) { l.write("acme_jre/jre/lib/new", "x") }, `added acme_jre/jre/lib/new of "jre"`),
	Entry("append", func(l layers) { l.put("acme_jre/jre/bin/java", "x", os.O_APPEND) }, `changed acme_jre/jre/bin/java of "jre"`),
	Entry("truncate", func(l layers) { must(os.Truncate(l.at("acme_jre/jre/bin/java"), 0)) }, `changed acme_jre/jre/bin/java of "jre"`),
	Entry("overwrite in place", func(l layers) { l.put("acme_jre/jre/bin/java", "JAVA", 0) }, `changed acme_jre/jre/bin/java of "jre"`),
	Entry("overwrite and put the time back", func(l layers) {
		info, err := os.Stat(l.at("acme_jre/jre/bin/java"))
		must(err)
		l.put("acme_jre/jre/bin/java", "JAVA", 0)
		must(os.Chtimes(l.at("acme_jre/jre/bin/java"), info.ModTime(), info.ModTime()))
	}, `changed acme_jre/jre/bin/java of "jre"`),
	Entry("overwrite with the same", func(l layers) { l.put("acme_jre/jre/bin/java", "java", 0) }, `touched acme_jre/jre/bin/java of "jre"`),
	Entry("rename over", func(l layers) { must(os.Rename(l.at("acme_maven/repository/pom"), l.at("acme_jre/jre/bin/java"))) }, `changed acme_jre/jre/bin/java of "jre"`),
	Entry("rename over with the same", func(l layers) {
		l.write("acme_maven/java", "java")
		must(os.Rename(l.at("acme_maven/java"), l.at("acme_jre/jre/bin/java")))
	}, `touched acme_jre/jre/bin/java of "jre"`),
	Entry("delete", func(l layers) { must(os.Remove(l.at("acme_jre/jre/lib/a/one"))) }, `removed acme_jre/jre/lib/a/one of "jre"`),
	Entry("delete a directory", func(l layers) { must(os.RemoveAll(l.at("acme_jre/jre/lib"))) }, `removed acme_jre/jre/lib of "jre"`),
	Entry("chmod", func(l layers) { must(os.Chmod(l.at("acme_jre/jre/bin/java"), 0o755)) }, `changed acme_jre/jre/bin/java of "jre"`),
	Entry("chmod of a directory", func(l layers) { must(os.Chmod(l.at("acme_jre/jre/lib"), 0o777)) }, `changed acme_jre/jre/lib of "jre"`),
	Entry("mkdir", func(l layers) { must(os.MkdirAll(l.at("acme_jre/jre/new/deep"), 0o755)) }, `added acme_jre/jre/new of "jre"`),
	Entry("symlink", func(l layers) { must(os.Symlink("/etc/passwd", l.at("acme_jre/jre/link"))) }, `added acme_jre/jre/link of "jre"`),
	Entry("a symlink with another target", func(l layers) {
		must(os.Remove(l.at("acme_jre/jre/java")))
		must(os.Symlink("bin/evil", l.at("acme_jre/jre/java")))
	}, `changed acme_jre/jre/java of "jre"`),
	Entry("a file becomes a symlink", func(l layers) {
		must(os.Remove(l.at("acme_jre/jre/bin/java")))
		must(os.Symlink("/etc/passwd", l.at("acme_jre/jre/bin/java")))
	}, `changed acme_jre/jre/bin/java of "jre"`),
	Entry("hard link to it from the own layer", func(l layers) {
		must(os.Link(l.at("acme_jre/jre/bin/java"), l.at("acme_maven/java")))
	}, `touched acme_jre/jre/bin/java of "jre"`),
	Entry("write through a hard link in the own layer", func(l layers) {
		must(os.Link(l.at("acme_jre/jre/bin/java"), l.at("acme_maven/java")))
		l.put("acme_maven/java", "JAVA", 0)
	}, `changed acme_jre/jre/bin/java of "jre"`),
	Entry("write through a symlink in the own layer", func(l layers) {
		must(os.Symlink("../acme_jre/jre", l.at("acme_maven/theirs")))
		l.write("acme_maven/theirs/bin/new", "x")
	}, `added acme_jre/jre/bin/new of "jre"`),
	Entry("rename of a directory", func(l layers) { must(os.Rename(l.at("acme_jre/jre/lib/a"), l.at("acme_jre/jre/lib/b"))) },
		`removed acme_jre/jre/lib/a of "jre"`, `added acme_jre/jre/lib/b of "jre"`),
	Entry("a directory replaced by the same", func(l layers) {
		must(os.Mkdir(l.at("acme_jre/jre/empty"), 0o755))
		must(os.Remove(l.at("acme_jre/jre/empty")))
	}, `touched acme_jre/jre of "jre"`),
	Entry("times of a file", func(l layers) { must(os.Chtimes(l.at("acme_jre/jre/bin/java"), time.Unix(1, 0), time.Unix(1, 0))) }, `touched acme_jre/jre/bin/java of "jre"`),
	Entry("times of a directory", func(l layers) { must(os.Chtimes(l.at("acme_jre/jre/bin"), time.Unix(1, 0), time.Unix(1, 0))) }, `touched acme_jre/jre/bin of "jre"`),
	Entry("its metadata", func(l layers) { l.put("acme_jre/jre.toml", "x", os.O_APPEND) }, `changed acme_jre/jre.toml of "jre"`),
	Entry("what is no layer's", func(l layers) { l.put("acme_jre/launch.toml", "x", os.O_APPEND) }, `changed acme_jre/launch.toml of ""`),
	Entry("what was restored for a later buildpack", func(l layers) { l.put("acme_late/restored/file", "x", 0) }, `changed acme_late/restored/file of "restored"`),
	Entry("the directory of a later buildpack", func(l layers) { l.write("acme_never/planted/file", "x") }, `added acme_never of ""`),
	Entry("what is the lifecycle's", func(l layers) { l.write("config/metadata.toml", "x"); l.write("sbom/launch/x", "x") },
		`changed config/metadata.toml of "config"`, `added sbom of "sbom"`),
	Entry("all of the other's", func(l layers) { must(os.RemoveAll(l.at("acme_jre"))) }, `removed acme_jre of ""`),
	Entry("a fifo in the place of a file", func(l layers) {
		must(os.Remove(l.at("acme_jre/jre/bin/java")))
		must(syscall.Mkfifo(l.at("acme_jre/jre/bin/java"), 0o644))
	}, `changed acme_jre/jre/bin/java of "jre"`),
)

var _ = DescribeTable("Nothing is found for", func(do func(l layers)) { Expect(writes(do)).To(BeEmpty()) },
	Entry("own writes", func(l layers) {
		l.write("acme_maven/more/file", "x")
		must(os.RemoveAll(l.at("acme_maven/repository")))
	}),
	Entry("reads", func(l layers) {
		must(filepath.WalkDir(string(l), func(path string, d os.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				_, err = os.ReadFile(path)
			}
			return err
		}))
	}),
	Entry("a symlink to it", func(l layers) { must(os.Symlink("../acme_jre/jre/bin/java", l.at("acme_maven/java"))) }),
	Entry("a directory of no buildpack", func(l layers) { l.write("other/file", "x") }),
)

var _ = Describe("Turns", func() {
	It("finds what is planted where a later buildpack's directory will be", func() {
		l := layers(GinkgoT().TempDir())
		turns, err := ownership.New(string(l), []string{"a", "b"})
		must(err)
		turns.Begin("a")
		l.write("b/planted", "x")
		turns.Begin("b")
		all, err := turns.End()
		must(err)
		Expect(all).To(Equal([]ownership.Write{{Buildpack: "a", Owner: "b", Layer: "planted", Path: "/layers/b/planted", Change: ownership.Added}}))
	})

	It("names the last buildpack for what comes after it, and follows no link out", func() {
		l := layers(GinkgoT().TempDir())
		secret := GinkgoT().TempDir()
		turns, err := ownership.New(string(l), []string{"a", "b"})
		must(err)
		turns.Begin("a")
		must(os.Symlink(secret, l.at("a")))
		turns.Begin("b")
		must(os.WriteFile(filepath.Join(secret, "file"), nil, 0o600))
		Expect(turns.End()).To(BeEmpty())
	})

	It("keeps ten thousand", func() {
		l := layers(GinkgoT().TempDir())
		turns, err := ownership.New(string(l), []string{"a", "b"})
		must(err)
		must(os.MkdirAll(l.at("a/layer"), 0o755))
		turns.Begin("b")
		for i := range 10_002 {
			must(os.Symlink("x", l.at(fmt.Sprint("a/layer/", i))))
		}
		all, err := turns.End()
		Expect(err).To(MatchError("layers: 2 changes more than 10000, the limit"))
		Expect(all).To(HaveLen(10_000))
	})

	It("finds no end of it that is too deep", func() {
		l := layers(GinkgoT().TempDir())
		turns, err := ownership.New(string(l), []string{"a", "b"})
		must(err)
		turns.Begin("a")
		must(os.MkdirAll(l.at("a"+strings.Repeat("/d", 510)), 0o755))
		turns.Begin("b")
		_, err = turns.End()
		Expect(err).To(MatchError("layers: directories are more than 500 deep, the limit"))
	})
})

var _ = Describe("The group", func() {
	group := func(l layers) ([]string, error) {
		turns, err := ownership.New(string(l), nil)
		must(err)
		defer func() { _, _ = turns.End() }()
		return turns.Group()
	}

	It("gets its directories, as the lifecycle makes them, in order", func() {
		l := layers(GinkgoT().TempDir())
		l.write("group.toml", "[[group]]\nid = 'acme/jre'\nversion = '1'\napi = '0.10'\n[[group]]\nid = 'b'\n[[group-extensions]]\nid = 'c'\n")
		l.write("b/restored", "")
		old := syscall.Umask(0o077)
		defer syscall.Umask(old)
		Expect(group(l)).To(Equal([]string{"acme_jre", "b"}))
		for _, name := range []string{"acme_jre", "b", "config", "sbom"} {
			info, err := os.Lstat(l.at(name))
			must(err)
			Expect(info.Mode()).To(Equal(os.ModeDir | 0o755))
		}
		Expect(l.at("b/restored")).To(BeAnExistingFile())
		Expect(l.at("c")).NotTo(BeAnExistingFile())
	})

	DescribeTable("is not that of", func(do func(l layers), message string) {
		l := layers(GinkgoT().TempDir())
		secret := GinkgoT().TempDir()
		must(os.Symlink(secret, l.at("out")))
		l.write("group.toml", "[[group]]\nid = 'a'\n")
		do(l)
		_, err := group(l)
		Expect(err).To(MatchError(HavePrefix("layers: " + message)))
		Expect(os.ReadDir(secret)).To(BeEmpty())
	},
		Entry("no file", func(l layers) { must(os.Remove(l.at("group.toml"))) }, "group.toml: no such file"),
		Entry("a link", func(l layers) {
			must(os.Rename(l.at("group.toml"), l.at("g")))
			must(os.Symlink("g", l.at("group.toml")))
		}, "group.toml: too many levels of symbolic links"),
		Entry("a fifo", func(l layers) { must(os.Remove(l.at("group.toml"))); must(syscall.Mkfifo(l.at("group.toml"), 0o644)) }, "group.toml: it is not a regular file"),
		Entry("a large file", func(l layers) { must(os.Truncate(l.at("group.toml"), 1<<20+1)) }, "group.toml: it is not a regular file of at most 1 MiB"),
		Entry("other text", func(l layers) { l.put("group.toml", "x", os.O_APPEND) }, "group.toml: toml: "),
		Entry("nothing", func(l layers) { must(os.Truncate(l.at("group.toml"), 0)) }, "group.toml names no buildpacks"),
		Entry("an id that leads up", func(l layers) { l.write("group.toml", "[[group]]\nid = '..'\n") }, `group.toml: invalid id ".."`),
		Entry("no id", func(l layers) { l.write("group.toml", "[[group]]\nversion = '1'\n") }, `group.toml: invalid id ""`),
		Entry("an id of the lifecycle's directory", func(l layers) { l.write("group.toml", "[[group]]\nid = 'sbom'\n") }, `group.toml: invalid id "sbom"`),
		Entry("a link in the place of a directory", func(l layers) { must(os.Symlink("out", l.at("a"))) }, `making the directory "a": not a directory`),
		Entry("a file in the place of a directory", func(l layers) { l.write("a", "") }, `making the directory "a": not a directory`),
	)
})
