package frontend

import (
	"os/exec"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// importRules say which of laminate's packages each package of this module may import. Tests are free.
var importRules = map[string]struct{ may, because string }{
	"laminate/cli/frontend": {"laminate/builder/lifecycle laminate/cli/frontend/gitignore laminate/cli/frontend/step laminate/flatten laminate/packager/config",
		"BuildKit is its transport: it opens no source and chooses no sink"},
	"laminate/cli/frontend/gitignore":         {"", "it matches paths, and opens nothing"},
	"laminate/cli/frontend/step":              {"laminate/builder/lifecycle", "it runs in the build step, and knows nothing of BuildKit"},
	"laminate/cli/frontend/image":             {"laminate/flatten laminate/packager/location laminate/packager/sink", "it makes an image, and chooses a sink as a command does"},
	"laminate/cli/frontend/laminate-frontend": {"laminate/cli/frontend laminate/cli/frontend/step", "it is a few lines"},
}

var _ = Describe("imports", func() {
	It("point one way", func() {
		out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "laminate/cli/frontend/...").Output()
		Expect(err).NotTo(HaveOccurred())
		for line := range strings.Lines(string(out)) {
			words := strings.Fields(line)
			rule, has := importRules[words[0]]
			Expect(has).To(BeTrue(), "package %s has no rule", words[0])
			for _, imported := range words[1:] {
				if strings.HasPrefix(imported, "laminate/") {
					Expect(slices.Contains(strings.Fields(rule.may), imported)).To(BeTrue(), "%s imports %s, but %s", words[0], imported, rule.because)
				}
				if strings.HasSuffix(words[0], "/step") {
					Expect(imported).NotTo(ContainSubstring("moby/buildkit"), rule.because)
				}
			}
		}
	})
})
