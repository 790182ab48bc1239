package frontend

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// tree are the files of a build context.
var tree = []string{"README.md", "docs/a.md", "docs/deep/b.txt", "node_modules/x/index.js", "node_modules/x/README.md", "src/main.x", "src/docs/a.md", "a.log", "keep.log", "empty/"}

// left returns the paths of the app that a build copies, and the patterns that BuildKit gets.
func left(ctx SpecContext, keys string) (files, patterns []string) {
	GinkgoHelper()
	g := lab(minimal+keys, nil)
	for _, name := range tree {
		file := filepath.Join(g.context, name)
		Expect(os.MkdirAll(filepath.Dir(file), 0o755)).To(Succeed())
		if strings.HasSuffix(name, "/") {
			Expect(os.MkdirAll(file, 0o755)).To(Succeed())
			continue
		}
		Expect(os.WriteFile(file, nil, 0o644)).To(Succeed())
	}
	_, err := Build(ctx, g)
	Expect(err).NotTo(HaveOccurred())
	removed := map[string]bool{}
	for _, f := range g.files {
		for _, a := range f.Actions {
			if rm := a.GetRm(); rm != nil {
				Expect(removed).NotTo(HaveKey(rm.Path), "removed twice")
				Expect(rm.AllowNotFound).To(BeFalse())
				removed[rm.Path] = true
			}
		}
	}
	Expect(filepath.WalkDir(g.context, func(file string, entry os.DirEntry, err error) error {
		name, _ := filepath.Rel(g.context, file)
		if removed[filepath.Join("/app", name)] {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return err
		}
		if entry.IsDir() {
			name += "/"
		}
		files = append(files, name)
		return err
	})).To(Succeed())
	return files[1:], g.excluded
}

var _ = Describe("the app", func() {
	all := []string{"README.md", "a.log", "docs/", "docs/a.md", "docs/deep/", "docs/deep/b.txt", "empty/", "keep.log", "main.go", "node_modules/", "node_modules/x/",
		"node_modules/x/README.md", "node_modules/x/index.js", "project.toml", "src/", "src/docs/", "src/docs/a.md", "src/main.x"}
	without := func(names ...string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(name string) bool {
			return slices.ContainsFunc(names, func(n string) bool { return name == n || strings.HasPrefix(name, n+"/") })
		})
	}

	DescribeTable("is what the project descriptor leaves of the build context", func(ctx SpecContext, keys string, want, excluded []string) {
		files, patterns := left(ctx, keys)
		Expect(files).To(Equal(want))
		Expect(patterns).To(Equal(excluded))
	},
		Entry("all", "", all, nil),
		Entry("without directories", "exclude = ['node_modules', '/docs']", without("node_modules", "docs"), []string{"**/node_modules", "docs"}),
		Entry("without what is in a directory", "exclude = ['docs/']", without("docs/a.md", "docs/deep", "src/docs/a.md"), []string{"**/docs/*"}),
		Entry("without files", "exclude = ['*.md', '*.log', '!keep.log']", without("README.md", "docs/a.md", "node_modules/x/README.md", "src/docs/a.md", "a.log"), nil),
		Entry("with files of an excluded directory", "exclude = ['docs', '!docs/deep']", without("docs/a.md", "src/docs"), nil),
		Entry("only some", "include = ['src', '/docs/deep/', 'project.toml']", []string{"docs/", "docs/deep/", "docs/deep/b.txt", "project.toml", "src/", "src/docs/", "src/docs/a.md", "src/main.x"}, nil),
		Entry("only files", "include = ['*.x']", []string{"src/", "src/main.x"}, nil),
		Entry("all but some", "include = ['*', '!*.md', '!node_modules']", without("README.md", "docs/a.md", "src/docs/a.md", "node_modules"), nil),
	)

	It("is what .dockerignore leaves, too", func(ctx SpecContext) {
		g := lab(minimal+"exclude = ['/docs']\n", nil)
		writeFile(filepath.Join(g.context, ".dockerignore"), "# comment\ntmp\n!tmp/keep\n")
		_, err := Build(ctx, g)
		Expect(err).NotTo(HaveOccurred())
		Expect(g.excluded).To(Equal([]string{"tmp", "!tmp/keep", "docs"}))
	})

	It("must have files", func(ctx SpecContext) {
		g := lab(minimal+"exclude = ['/docs']\n", nil)
		g.empty, g.output = true, GinkgoT().TempDir()
		_, err := Build(ctx, g)
		Expect(err).To(MatchError("the build context is empty, or exclude and .dockerignore leave nothing of it"))
	})

	It("is not thinned out by BuildKit where buildpacks may be in the build context", func(ctx SpecContext) {
		_, patterns := left(ctx, "exclude = ['/docs']\n[[io.buildpacks.group]]\nuri = 'from=builder'\n")
		Expect(patterns).To(BeEmpty())
	})
})
