package gitignore_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/patternmatcher"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/cli/frontend/gitignore"
)

func TestGitignore(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "gitignore")
}

var tree = []string{
	"README.md", "main.go", "a.log", "keep.log", "#file", "!file", "with space", "trailing ", "a[b", "ünder.txt",
	"build/out", "build/sub/out.log", "src/build/out", "src/main.go", "src/docs/a.txt", "docs/a.txt", "docs/deep/b.txt",
	"a/x/b", "a/b", "a/x/y/b", "a/x/c", "foo/bar/baz", "foo/bar.txt", "node_modules/x/index.js", "src/node_modules/y", "x1", "x2", "xa", "x-",
}

var lists = [][]string{
	{"*.log", "!keep.log"}, {"/build"}, {"build"}, {"build/*"}, {"docs/*.txt"}, {"docs/**"}, {"**/docs"}, {"**/docs/*.txt"},
	{"a/**/b"}, {"a/*/b"}, {"**"}, {"*"}, {"/*"}, {"/*", "!/src"}, {"foo/*", "!foo/bar"}, {"# comment", "", "  "}, {`\#file`}, {`\!file`},
	{"with space"}, {"main.go  "}, {`trailing\ `}, {"x[0-9]"}, {"x[!0-9]"}, {"x[^a]"}, {"x[]-]"}, {"x[[:alpha:]]"}, {`a\[b`}, {"a[b"},
	{"*r*r*"}, {"b*d"}, {"main.go", "!main.go", "main.go"}, {"/"}, {"!x1"}, {`x\`}, {"src//main.go"},
	{"node_modules"}, {"**/x/**"}, {"a/x/"}, {"f**o"}, {"/**/out"}, {"x[1", "x2"}, {"x[[:no:]]"}, {"s?c/*.go"}, {"./main.go"}, {"../x1"}, {`\m\a\i\n.go`},
}

var _ = Describe("patterns", func() {
	It("match the files that git ignores", func() {
		if _, err := exec.LookPath("git"); err != nil {
			Skip("git is not on PATH")
		}
		dir := GinkgoT().TempDir()
		for _, file := range tree {
			file = filepath.Join(dir, file)
			Expect(os.MkdirAll(filepath.Dir(file), 0o755)).To(Succeed())
			Expect(os.WriteFile(file, nil, 0o644)).To(Succeed())
		}
		git := func(args ...string) string {
			cmd := exec.Command("git", append([]string{"-C", dir, "-c", "core.excludesFile=/dev/null"}, args...)...)
			out, err := cmd.Output()
			Expect(err).NotTo(HaveOccurred())
			return string(out)
		}
		git("init", "--quiet")
		for _, lines := range lists {
			exclude := filepath.Join(dir, ".git", "info", "exclude")
			Expect(os.WriteFile(exclude, []byte(strings.Join(lines, "\n")+"\n"), 0o644)).To(Succeed())
			want := strings.FieldsFunc(git("ls-files", "-z", "--others", "--ignored", "--exclude-standard"), func(r rune) bool { return r == 0 })
			p := gitignore.Parse(lines)
			var got []string
			for _, file := range tree {
				if p.Match(file) {
					got = append(got, file)
				}
			}
			Expect(got).To(ConsistOf(want), "%q", lines)
		}
	})

	It("leave a directory that a pattern with a slash at its end names, as pack does", func() {
		p := gitignore.Parse([]string{"docs/"})
		Expect(p.Match("docs")).To(BeFalse())
		Expect(p.Match("docs/a.txt")).To(BeTrue())
		Expect(p.Match("src/docs/deep")).To(BeTrue())
	})

	It("count characters, where git counts bytes", func() {
		for _, line := range []string{"?nder.txt", "[ü]nder.txt", "[à-ÿ]nder.txt", "[!a]nder.txt"} {
			Expect(gitignore.Parse([]string{line}).Match("ünder.txt")).To(BeTrue(), line)
		}
	})

	It("bring back files of a directory, as pack does", func() {
		p := gitignore.Parse([]string{"foo", "!foo/bar"})
		Expect(p.Match("foo/bar/baz")).To(BeFalse())
		Expect(p.Match("foo/bar.txt")).To(BeTrue())
	})

	DescribeTable("know of whole directories", func(dir string, want gitignore.Verdict, lines ...string) {
		Expect(gitignore.Parse(lines).In(dir)).To(Equal(want))
	},
		Entry("matched", "a", gitignore.All, "a"),
		Entry("matched below", "a/b", gitignore.All, "a"),
		Entry("with a slash", "a", gitignore.All, "a/"),
		Entry("that is elsewhere", "a", gitignore.None, "/b/c"),
		Entry("that may have a match", "a", gitignore.Some, "*.go"),
		Entry("with a way to it", "a", gitignore.Some, "a/b/c"),
		Entry("with another way", "a/x", gitignore.None, "a/b/c"),
		Entry("with exceptions", "a", gitignore.Some, "a", "!a/b"),
		Entry("with exceptions elsewhere", "a", gitignore.All, "a", "!b/c"),
		Entry("brought back", "a", gitignore.None, "a", "!a"),
		Entry("brought back in part", "a", gitignore.Some, "a", "!a", "*.go"),
		Entry("with nothing at all", "a", gitignore.None),
	)

	It("take no longer for hostile patterns", func(ctx SpecContext) {
		stars, text := strings.Repeat("a*", 2000)+"b", strings.Repeat("a", 250)
		deep := strings.Repeat("**/a/", 700) + "b"
		path := strings.TrimSuffix(strings.Repeat("a/", 1000), "/")
		begun := time.Now()
		p := gitignore.Parse([]string{stars, deep, strings.Repeat("[", 4000), strings.Repeat(`\`, 4001)})
		Expect(p.Match(text)).To(BeFalse())
		Expect(p.Match(path)).To(BeFalse())
		Expect(time.Since(begun)).To(BeNumerically("<", 10*time.Second))
	}, SpecTimeout(time.Minute))

	It("leave out no more for BuildKit than they match", func() {
		for _, lines := range lists {
			p, docker := gitignore.Parse(lines), gitignore.Dockerignore(lines)
			matcher, err := patternmatcher.New(docker)
			Expect(err).NotTo(HaveOccurred())
			for _, file := range tree {
				out, err := matcher.MatchesOrParentMatches(file)
				Expect(err).NotTo(HaveOccurred())
				if out {
					Expect(p.Match(file)).To(BeTrue(), "%q becomes %q, which leaves out %s", lines, docker, file)
				}
			}
		}
		Expect(gitignore.Dockerignore([]string{"node_modules", "/build", "docs/", "*.log", "a/b", "x[0-9]", "(x)"})).To(
			Equal([]string{"**/node_modules", "build", "**/docs/*", "**/*.log", "a/b"}))
	})
})

// FuzzMatch: In agrees with Match, and Dockerignore leaves out no more than Match.
func FuzzMatch(f *testing.F) {
	for _, lines := range lists {
		f.Add(strings.Join(lines, "\n"), "src/docs/a.txt", "b")
	}
	f.Fuzz(func(t *testing.T, text, dir, file string) {
		for name := range strings.SplitSeq(dir+"/"+file, "/") {
			if name == "" || name == "." || name == ".." {
				t.Skip()
			}
		}
		lines := strings.Split(text, "\n")
		p := gitignore.Parse(lines)
		matches := p.Match(dir + "/" + file)
		if verdict := p.In(dir); verdict == gitignore.All && !matches || verdict == gitignore.None && matches {
			t.Fatalf("%q: In(%q) is %d, Match(%q) is %v", lines, dir, verdict, dir+"/"+file, matches)
		}
		matcher, err := patternmatcher.New(gitignore.Dockerignore(lines))
		if err != nil {
			t.Fatal(err)
		}
		if out, err := matcher.MatchesOrParentMatches(dir + "/" + file); err != nil || out && !matches {
			t.Fatalf("%q: BuildKit leaves out %q: %v", lines, dir+"/"+file, err)
		}
	})
}
