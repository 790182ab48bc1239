package cli_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/cli"
	"laminate/fixtures"
)

// UPDATE_README=1 writes the output into the pages instead of comparing it.
const update = "UPDATE_README"

var console = regexp.MustCompile("(?s)```console\n(.*?)```")

// took is how long a run took, which the pages give as 0.1 s.
var (
	took        = regexp.MustCompile(`(?m)^done in [0-9.]+ s:`)
	tookSeconds = regexp.MustCompile(`"seconds": [0-9.]+`)
)

var _ = DescribeTable("a page shows what its commands print", func(page string) {
	file := filepath.Join(fixtures.Root(), "..", filepath.FromSlash(page))
	text, err := os.ReadFile(file)
	Expect(err).NotTo(HaveOccurred())
	host := fixtures.Registry(GinkgoT())
	enterPackages("offline")
	now := console.ReplaceAllStringFunc(string(text), func(block string) string {
		return "```console\n" + replay(console.FindStringSubmatch(block)[1], host) + "```"
	})
	if os.Getenv(update) != "" {
		Expect(os.WriteFile(file, []byte(now), 0o644)).To(Succeed())
	}
	Expect(now).To(Equal(string(text)))
},
	Entry(nil, "README.md"),
	Entry(nil, "docs/coming-from-pack.md"),
	Entry(nil, "docs/output-json.md"),
)

// enterPackages copies the samples and makes the folder of one of the
// package.toml files the working directory, until the spec ends.
func enterPackages(name string) {
	dir := GinkgoT().TempDir()
	for _, sub := range []string{"buildpacks", "packages"} {
		Expect(fixtures.CopyDir(filepath.Join(dir, sub), sub)).To(Succeed())
	}
	before, err := os.Getwd()
	Expect(err).NotTo(HaveOccurred())
	Expect(os.Chdir(filepath.Join(dir, "packages", name))).To(Succeed())
	DeferCleanup(os.Chdir, before)
}

// replay runs the commands of a block, and gives the block with what they print.
func replay(block, host string) string {
	var out strings.Builder
	for line := range strings.Lines(block) {
		command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ laminate ")
		if !ok {
			continue
		}
		out.WriteString(line)
		args := strings.Fields(strings.ReplaceAll(command, "localhost:5000", host))
		var said bytes.Buffer
		env := func(string) string { return "" }
		cli.Run(context.Background(), append([]string{"laminate"}, args...), &said, &said, env)
		text := took.ReplaceAllString(strings.ReplaceAll(said.String(), host, "localhost:5000"), "done in 0.1 s:")
		out.WriteString(tookSeconds.ReplaceAllString(text, `"seconds": 0.1`))
	}
	return out.String()
}
