package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// completed are the candidates for the last word, and the directive.
func completed(words ...string) (values []string, directive string) {
	GinkgoHelper()
	r := laminate(append([]string{"__complete"}, words...)...)
	Expect(r.code).To(BeZero())
	Expect(r.stderr).To(BeEmpty())
	for line := range strings.Lines(r.stdout) {
		value, about, isCandidate := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !isCandidate {
			Expect(directive).To(BeEmpty())
			directive = value
			continue
		}
		Expect(len(about)).To(BeNumerically("<=", 63))
		values = append(values, value)
	}
	return values, directive
}

var _ = Describe("completion", func() {
	DescribeTable("is by the definitions of commands and flags",
		func(want, directive string, words ...string) {
			values, got := completed(words...)
			Expect(strings.Join(values, " ")).To(Equal(want))
			Expect(got).To(Equal(directive))
		},
		Entry("commands", "package update buildpack builder cache extension inspect verify flatten diff release completion version help", ":nothing", ""),
		Entry(nil, "buildpack builder", ":nothing", "bu"),
		Entry("behind a flag of all commands", "package", ":nothing", "--quiet", "pa"),
		Entry("commands of a command", "create smoke history simulate update", ":nothing", "builder", ""),
		Entry("of a plural", "package", ":nothing", "extensions", ""),
		Entry("flags", "--flatten-layers --flatten-layers= --flatten --flatten-group --flatten-exclude", ":nothing", "package", "--flat"),
		Entry("another command's", "--flatten --flatten= --flatten-exclude", ":nothing", "builder", "create", "--flat"),
		Entry("no hidden ones", "", ":nothing", "package", "--timest"),
		Entry("a value behind an equals sign", "--flatten-layers=all --flatten-layers=auto --flatten-layers=as-packaged", ":nothing", "package", "--flatten-layers=a"),
		Entry("of one letter", "-f=file -f=image", ":nothing", "package", "-f="),
		Entry("a value as a word", "always if-not-present never", ":nothing", "package", "--pull-policy", ""),
		Entry("by the command", "markdown", ":nothing", "builder", "simulate", "--output", "m"),
		Entry(nil, "json text", ":nothing", "package", "--output", ""),
		Entry(nil, "html json markdown text yaml", ":nothing", "inspect", "--output", ""),
		Entry("REF", "docker-archive: docker:// docker-daemon:", ":files", "inspect", "docker"),
		Entry(nil, "json text", ":nothing", "verify", "--output", ""),
		Entry(nil, "json markdown text", ":nothing", "diff", "--output", ""),
		Entry(nil, "json markdown text", ":nothing", "update", "--output", ""),
		Entry(nil, "major minor", ":nothing", "builder", "update", "--only", "m"),
		Entry("FILE", "", ":files", "update", "b"),
		Entry("only one", "", ":nothing", "update", "builder.toml", "b"),
		Entry("NEW", "docker-archive: docker:// docker-daemon:", ":files", "diff", "a/b", "docker"),
		Entry("only two", "", ":nothing", "diff", "a/b", "c/d", "docker"),
		Entry("a file", "", ":files", "builder", "create", "--config", "b"),
		Entry("a free value", "", ":nothing", "package", "--label", ""),
		Entry("DEST", "oci: oci-archive: docker-archive: docker:// docker-daemon:", ":files", "package", ""),
		Entry("behind flags with values", "docker-archive: docker:// docker-daemon:", ":files", "builder", "create", "-c", "b.toml", "-q", "docker"),
		Entry("behind --", "oci: oci-archive: docker-archive: docker:// docker-daemon:", ":files", "package", "--", ""),
		Entry("in a layout", "", ":directories", "package", "oci:x"),
		Entry("in an archive", "", ":files", "package", "oci-archive:"),
		Entry("in a registry", "", ":nothing", "package", "docker://local"),
		Entry("REF and DEST", "oci: oci-archive:", ":files", "flatten", "oci:x", "oci"),
		Entry("only one DEST", "", ":nothing", "package", "x.cnb", ""),
		Entry("help", "package", ":nothing", "help", "pa"),
		Entry("shells", "bash fish zsh", ":nothing", "completion", ""),
		Entry("an unknown command", "", ":nothing", "pakage", ""),
		Entry("an unknown flag", "", ":nothing", "package", "--nope="),
	)

	DescribeTable("proposes values that the flag takes", func(command, flag string) {
		path := strings.Fields(command)
		values, _ := completed(append(path, flag+"=")...)
		Expect(values).NotTo(BeEmpty())
		for _, v := range values {
			r := laminate(append(path, v)...)
			Expect(r.code).To(Equal(2), "an argument is missing")
			Expect(r.stderr).To(ContainSubstring(" is missing"))
			Expect(r.stderr).NotTo(Or(ContainSubstring(flag), ContainSubstring("invalid")))
		}
	},
		Entry(nil, "package", "--flatten-layers"), Entry(nil, "package", "--compression"), Entry(nil, "package", "--media-types"),
		Entry(nil, "package", "--on-conflict"), Entry(nil, "package", "--pull-policy"), Entry(nil, "package", "--target"),
		Entry(nil, "package", "--output"), Entry(nil, "package", "--format"), Entry(nil, "builder create", "--flatten"),
		Entry(nil, "builder simulate", "--plan"), Entry(nil, "builder simulate", "--output"),
		Entry(nil, "diff", "--output"), Entry(nil, "diff", "--target"), Entry(nil, "diff", "--pull-policy"),
	)

	It("prints a script for each shell, and nothing for others", func() {
		for shell, line := range map[string]string{"bash": "complete -F _laminate laminate\n", "zsh": "#compdef laminate\n", "fish": "complete -c laminate "} {
			r := laminate("completion", shell)
			Expect(r.code).To(BeZero())
			Expect(r.stdout).To(ContainSubstring(line))
		}
		Expect(laminate("completion").code).To(Equal(2))
	})
})

var _ = Describe("a shell with the completion script", func() {
	// program is a directory with laminate in it.
	program := func() string {
		GinkgoHelper()
		self, err := os.Executable()
		Expect(err).NotTo(HaveOccurred())
		dir := GinkgoT().TempDir()
		Expect(os.Symlink(self, filepath.Join(dir, "laminate"))).To(Succeed())
		return dir
	}
	run := func(shell string, args ...string) string {
		GinkgoHelper()
		path, err := exec.LookPath(shell)
		if err != nil {
			Skip(shell + " is not here")
		}
		enterPackages("offline")
		c := exec.Command(path, args...)
		c.Env = append(os.Environ(), asLaminate+"=1", "PATH="+program()+string(filepath.ListSeparator)+os.Getenv("PATH"), "HOME="+GinkgoT().TempDir())
		out, err := c.CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
		return strings.TrimSpace(string(out))
	}

	// Words are as bash has them in COMP_WORDS: split at = and : as well.
	DescribeTable("bash completes", func(want string, words ...string) {
		script := `set -eu; source <(laminate completion bash)
COMP_WORDS=(laminate "$@"); COMP_CWORD=$#; COMPREPLY=()
_laminate laminate "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
echo "${COMPREPLY[*]-}"`
		Expect(run("bash", append([]string{"--norc", "-c", script, "bash"}, words...)...)).To(Equal(want))
	},
		Entry("a command", "package", "pa"),
		Entry("a flag", "--flatten-layers --flatten-layers=", "package", "--flatten-l"),
		Entry("a value", "all auto as-packaged", "package", "--flatten-layers", "=", "a"),
		Entry("no value yet", "gzip zstd", "package", "--compression", "="),
		Entry("a scheme", "//", "package", "docker", ":", "/"),
		Entry("a file", "package.toml", "package", "--config", "pack"),
		Entry("a file behind an equals sign", "package.toml", "package", "--config", "=", "pack"),
		Entry("nothing", "", "package", "--nope", "=", "x"),
	)

	DescribeTable("fish completes", func(want, line string) {
		out := run("fish", "-c", `laminate completion fish | source; complete -C "`+line+`"`)
		var values []string
		for l := range strings.Lines(out) {
			value, _, _ := strings.Cut(strings.TrimSpace(l), "\t")
			values = append(values, value)
		}
		Expect(strings.Join(values, " ")).To(Equal(want))
	},
		Entry("a command", "package", "laminate pa"),
		Entry("a value", "--flatten-layers=all --flatten-layers=as-packaged --flatten-layers=auto", "laminate package --flatten-layers=a"),
		Entry("a file", "--config=package.toml", "laminate package --config=p"),
	)

	It("zsh reads its own", func() {
		Expect(run("zsh", "-f", "-c", `compdef() { echo "compdef $*" }; source <(laminate completion zsh); functions _laminate >/dev/null && echo defined`)).
			To(Equal("compdef _laminate laminate\ndefined"))
	})
})
