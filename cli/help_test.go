package cli_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/cli"
	"laminate/fixtures"
)

// updateReference writes docs/reference.md instead of comparing it.
const updateReference = "UPDATE_REFERENCE"

var _ = Describe("help", func() {
	example := regexp.MustCompile(`(?m)^   (laminate .*)$`)
	examples := func(help string) []string {
		_, after, found := strings.Cut(help, "\nExamples:\n")
		Expect(found).To(BeTrue(), help)
		shown, _, _ := strings.Cut(after, "\n\n")
		var lines []string
		for _, m := range example.FindAllStringSubmatch(shown, -1) {
			lines = append(lines, m[1])
		}
		return lines
	}

	It("has examples, and lines of at most 80 columns, for every command", func() {
		Expect(len(cli.CommandPaths())).To(BeNumerically(">", 15))
		for _, path := range cli.CommandPaths() {
			r := laminate(append(strings.Fields(path), "--help")...)
			Expect(r.code).To(BeZero(), path)
			Expect(examples(r.stdout)).NotTo(BeEmpty(), path)
			for line := range strings.Lines(r.stdout) {
				Expect(len(strings.TrimSuffix(line, "\n"))).To(BeNumerically("<=", 80), "%s: %s", path, line)
			}
		}
	})

	It("has examples whose command lines are valid", func() {
		GinkgoT().Chdir(GinkgoT().TempDir())
		canceled, cancel := context.WithCancel(context.Background())
		cancel() // all but the command line fails
		env := func(name string) string { return map[string]string{"TMPDIR": "."}[name] }
		for _, path := range cli.CommandPaths() {
			for _, line := range examples(laminate(append(strings.Fields(path), "--help")...).stdout) {
				command, _, _ := strings.Cut(line, " > ")
				var stderr bytes.Buffer
				code := cli.Run(canceled, strings.Fields(command), &bytes.Buffer{}, &stderr, env)
				Expect(code).NotTo(Equal(2), "%s: %s", line, stderr.String())
			}
		}
	})
})

var _ = Describe("the pages made of the commands", func() {
	It("has a reference that is up to date", func() {
		r := laminate("docs", "markdown")
		Expect(r.code).To(BeZero())
		file := filepath.Join(fixtures.Root(), "..", "docs", "reference.md")
		if os.Getenv(updateReference) != "" {
			Expect(os.WriteFile(file, []byte(r.stdout), 0o644)).To(Succeed())
		}
		page, err := os.ReadFile(file)
		Expect(err).NotTo(HaveOccurred())
		Expect(r.stdout).To(Equal(string(page)), "write it anew with "+updateReference+"=1 go test ./cli")
	})

	It("has a man page with all commands and flags, which man formats without a warning", func() {
		r := laminate("docs", "man")
		Expect(r.code).To(BeZero())
		for _, part := range []string{".TH LAMINATE 1", ".SS laminate builder create [FLAGS] DEST", `.B \-\-flatten\-layers[=MODE]`, ".SH EXIT STATUS"} {
			Expect(r.stdout).To(ContainSubstring(part))
		}
		Expect(r.stdout).NotTo(ContainSubstring("timestamps"))
		if _, err := exec.LookPath("groff"); err != nil {
			Skip("groff is not here")
		}
		c := exec.Command("groff", "-man", "-Tascii", "-ww", "-z")
		c.Stdin = strings.NewReader(r.stdout)
		said, err := c.CombinedOutput()
		Expect(err).NotTo(HaveOccurred())
		Expect(string(said)).To(BeEmpty())
	})

	It("takes man or markdown", func() {
		Expect(laminate("docs", "html").stderr).To(HavePrefix(`laminate: invalid format "html"; write man or markdown`))
	})
})
