package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/cli"
	"laminate/fixtures"
	"laminate/fixtures/workbench"
)

// UPDATE_README=1 writes what commands print into the pages instead of comparing it.
const update = "UPDATE_README"

// sandboxes set up the directory that the commands of a page run in. Pages that
// are not listed run in the sample package whose sources are all directories.
var sandboxes = map[string]func(*player){
	"README.md":        func(*player) { enterTenComposites() },
	"docs/builders.md": func(*player) { enterTenComposites() },
	"docs/inspect.md": func(*player) {
		enterInspected()
		for from, to := range map[string]string{"builder-composites": "builder", "buildpackage": "acme-java", "index": "acme-java-all"} {
			Expect(os.Rename(from, to)).To(Succeed())
		}
	},
	"docs/diff.md":     func(*player) { enterTenComposites() },
	"docs/flatten.md":  func(*player) { enterTenComposites() },
	"docs/updating.md": enterUpdated,
}

var (
	console  = regexp.MustCompile("(?s)```console\n(.*?)```")
	duration = regexp.MustCompile(`(?m)^(done in )[0-9.]+( s:)|("seconds": )[0-9.]+`) // shown as 0.1
	link     = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
	fenced   = regexp.MustCompile("(?ms)^```.*?^```$")
)

var _ = Describe("the documentation", func() {
	for _, page := range pages() {
		It("shows in "+page+" what the commands print", func() {
			before := readPage(page)
			p := player{host: fixtures.Registry(GinkgoT()), cache: filepath.Join(GinkgoT().TempDir(), "laminate")}
			enter, special := sandboxes[page]
			if !special {
				enter = func(*player) { enterPackages("offline") }
			}
			if console.MatchString(before) {
				enter(&p)
			}
			now := console.ReplaceAllStringFunc(before, func(block string) string {
				return "```console\n" + p.replay(console.FindStringSubmatch(block)[1]) + "```"
			})
			if os.Getenv(update) != "" {
				Expect(os.WriteFile(pageFile(page), []byte(now), 0o644)).To(Succeed())
			}
			Expect(now).To(Equal(before))
		})

		It("links from "+page+" to what exists", func() {
			for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(readPage(page), ""), -1) {
				to, err := url.Parse(m[1])
				Expect(err).NotTo(HaveOccurred())
				if to.IsAbs() {
					continue
				}
				target := page
				if to.Path != "" {
					target = path.Join(path.Dir(page), to.Path)
				}
				Expect(pageFile(target)).To(BeAnExistingFile(), m[1])
				if to.Fragment != "" {
					Expect(anchors(readPage(target))).To(ContainElement(to.Fragment), m[1])
				}
			}
		})

		It("wraps the prose of "+page+" at 100", func() {
			for line := range strings.Lines(fenced.ReplaceAllString(readPage(page), "")) {
				line = strings.TrimSuffix(line, "\n")
				if !strings.HasPrefix(line, "|") && strings.Contains(strings.TrimSpace(line), " ") {
					Expect(utf8.RuneCountInString(line)).To(BeNumerically("<=", 100), line)
				}
			}
		})
	}
})

// pages are the Markdown files that users read, by their paths in the repository.
func pages() []string {
	found := []string{"README.md", "ARCHITECTURE.md"}
	names, err := fs.Glob(os.DirFS(pageFile(".")), "docs/*.md")
	if err != nil {
		panic(err) // the pattern is invalid
	}
	return append(found, names...)
}

func pageFile(page string) string {
	return filepath.Join(fixtures.Root(), "..", filepath.FromSlash(page))
}

func readPage(page string) string {
	GinkgoHelper()
	text, err := os.ReadFile(pageFile(page))
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}

// anchors are the fragments by which GitHub finds the headings of a page.
func anchors(text string) []string {
	var all []string
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		all = append(all, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, m[1]))
	}
	return all
}

// enterPackages copies the samples and makes the folder of one of the
// package.toml files the working directory, until the spec ends.
func enterPackages(name string) {
	dir := GinkgoT().TempDir()
	for _, sub := range []string{"buildpacks", "packages"} {
		Expect(fixtures.CopyDir(filepath.Join(dir, sub), sub)).To(Succeed())
	}
	enterDir(filepath.Join(dir, "packages", name))
}

// enterTenComposites makes the sample of a big builder, its composites packaged,
// the working directory, until the spec ends.
func enterTenComposites() {
	dir := GinkgoT().TempDir()
	sample, err := fixtures.TenComposites(dir, "")
	Expect(err).NotTo(HaveOccurred())
	for _, toml := range sample.Packages {
		r := laminate("package", strings.TrimSuffix(toml, ".toml")+".cnb", "--config", toml, "--quiet")
		Expect(r.code).To(BeZero(), r.stderr)
	}
	enterDir(dir)
}

func enterDir(dir string) {
	before, err := os.Getwd()
	Expect(err).NotTo(HaveOccurred())
	Expect(os.Chdir(dir)).To(Succeed())
	DeferCleanup(os.Chdir, before)
}

// player runs the commands of a page, which share a registry and a cache.
type player struct {
	host, cache string
	lifecycle   string // the path of an archive, once it was made
}

// replay runs the commands of a block, each a line that begins with "$ " and the
// lines that continue it, and returns the block with what they print. A line of
// three dots stands for any lines.
func (p *player) replay(block string) string {
	var out strings.Builder
	lines := strings.SplitAfter(block, "\n")
	for i := 0; i < len(lines); {
		command := ""
		for begin := i; i < len(lines) && (i == begin || strings.HasSuffix(command, "\\\n")); i++ {
			command += lines[i]
		}
		out.WriteString(command)
		begin := i
		for i < len(lines) && !strings.HasPrefix(lines[i], "$ ") {
			i++
		}
		shown := strings.Join(lines[begin:i], "")
		if printed := p.run(strings.TrimPrefix(strings.ReplaceAll(command, "\\\n", " "), "$ ")); !abridges(shown, printed) {
			shown = printed
		}
		out.WriteString(shown)
	}
	return out.String()
}

// run runs a command: laminate in this process, all others by the shell.
func (p *player) run(command string) string {
	args := strings.Fields(strings.ReplaceAll(command, "localhost:5000", p.host))
	if len(args) == 0 {
		return ""
	}
	var printed bytes.Buffer
	if args[0] == "laminate" {
		cli.Run(context.Background(), args, &printed, &printed, p.env)
	} else {
		out, err := exec.Command("sh", "-c", command).CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "%s\n%s", command, out)
		printed.Write(out)
	}
	// Columns stay columns, although the host is one byte longer.
	text := regexp.MustCompile(regexp.QuoteMeta(p.host)+`(\S*  )`).ReplaceAllString(printed.String(), p.host+"$1 ")
	text = strings.NewReplacer(p.host, "localhost:5000", p.cache, "/home/me/.cache/laminate").Replace(text)
	return duration.ReplaceAllString(text, "${1}${3}0.1${2}")
}

// env is what the commands find in their environment.
func (p *player) env(name string) string {
	switch name {
	case "LAMINATE_CACHE_DIR":
		return p.cache
	case "LAMINATE_LIFECYCLE_URL": // in the place of GitHub's
		if p.lifecycle == "" {
			p.lifecycle = filepath.Join(GinkgoT().TempDir(), "lifecycle.tgz")
			Expect(os.WriteFile(p.lifecycle, []byte(workbench.LifecycleArchive()), 0o644)).To(Succeed())
		}
		return p.lifecycle
	}
	return ""
}

// abridges reports whether a text is another one, of which lines of three dots
// leave out parts.
func abridges(short, long string) bool {
	var pattern strings.Builder
	for line := range strings.Lines(short) {
		if line == "...\n" {
			pattern.WriteString(`(?:[^\n]*\n)*?`)
		} else {
			pattern.WriteString(regexp.QuoteMeta(line))
		}
	}
	return regexp.MustCompile(fmt.Sprintf(`^%s$`, pattern.String())).MatchString(long)
}

var _ = It("ARCHITECTURE.md names files that exist", func() {
	for _, m := range regexp.MustCompile("`((?:builder|cli|fixtures|flatten|packager)/[^` ]+)`").FindAllStringSubmatch(readPage("ARCHITECTURE.md"), -1) {
		_, err := os.Stat(pageFile(m[1]))
		Expect(err).NotTo(HaveOccurred())
	}
})

var _ = It("README.md links every page of the documentation", func() {
	for _, page := range pages()[1:] {
		Expect(readPage("README.md")).To(ContainSubstring("](" + page + ")"))
	}
})

var _ = DescribeTable("what a page leaves out", func(short, long string, want bool) {
	Expect(abridges(short, long)).To(Equal(want))
},
	Entry("nothing", "a\nb\n", "a\nb\n", true),
	Entry("the end", "a\n...\n", "a\nb\nc\n", true),
	Entry("the middle", "a\n...\nc\n", "a\nb\nc\n", true),
	Entry("no line at all", "a\n...\nb\n", "a\nb\n", true),
	Entry("what is no line", "a\n...\n", "ab\n", false),
	Entry("what is not marked", "a\n", "a\nb\n", false),
	Entry("another line", "a\n...\nd\n", "a\nb\nc\n", false),
)

var _ = It("is in the code what the tables of docs/troubleshooting.md quote", func() {
	code := sourceCode()
	ours, _, _ := strings.Cut(readPage("docs/troubleshooting.md"), "## Messages of other tools")
	for line := range strings.Lines(ours) {
		cells := strings.Split(line, " | ")
		if !strings.HasPrefix(line, "| `") || len(cells) != 2 {
			continue
		}
		for _, quoted := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[0], -1) {
			if slices.Contains(foreign, quoted[1]) {
				continue
			}
			for part := range strings.SplitSeq(quoted[1], "…") {
				Expect(strings.Contains(code, strings.TrimSpace(part))).To(BeTrue(), "%q is in no message", part)
			}
		}
	}
})

// foreign are messages that come from the system, the standard library or Docker.
var foreign = []string{
	"401 Unauthorized", "403 Forbidden", "404 Not Found", "413 Request Entity Too Large", "429 Too Many Requests",
	"no such host", "no space left on device", "open …/repositories: no such file or directory",
}

// sourceCode is all that laminate is made of.
func sourceCode() string {
	GinkgoHelper()
	var all strings.Builder
	for _, dir := range []string{"cli", "builder", "packager", "flatten"} {
		Expect(filepath.WalkDir(pageFile(dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			content, err := os.ReadFile(path)
			all.Write(content)
			return err
		})).To(Succeed())
	}
	return all.String()
}
