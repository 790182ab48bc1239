package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/mattn/go-runewidth"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.yaml.in/yaml/v3"

	"laminate/fixtures"
	"laminate/fixtures/workbench"
)

// updateInspect writes testdata/inspect instead of comparing it.
const updateInspect = "UPDATE_INSPECT"

// enterInspected makes a working directory with images of all kinds.
func enterInspected() {
	GinkgoHelper()
	enterBuilder()
	put("java/buildpack.toml", `api = "0.10"
[buildpack]
id = "acme/java"
version = "1.2.3"
name = "Acme Java"
description = "Everything for Java, and more than fits a line of a hundred columns, so that it continues below."
homepage = "https://acme.example/java"
keywords = ["java"]
[[buildpack.licenses]]
type = "Apache-2.0"
uri = "https://acme.example/license"
[[order]]
[[order.group]]
id = "acme/jdk"
version = "17.0.1"
[[order.group]]
id = "acme/tools"
version = "1"
optional = true
[[order]]
[[order.group]]
id = "acme/tools"
version = "1"
`)
	put("jdk/buildpack.toml", `api = "0.10"
[buildpack]
id = "acme/jdk"
version = "17.0.1"
name = "Acme JDK"
[[targets]]
os = "linux"
[[targets.distros]]
name = "busybox"
version = "1"
[[stacks]]
id = "samples.busybox"
[metadata.default-versions]
jdk = "17.*"
jre = "17.*"
[[metadata.dependencies]]
id = "jdk"
version = "9.0.4"
checksum = "sha256:aaaa"
stacks = ["acme.stack"]
deprecation_date = 2018-03-01
[[metadata.dependencies]]
id = "jdk"
version = "17.0.10"
sha256 = "bbbb"
stacks = ["acme.stack", "*"]
arch = "amd64"
os = "linux"
[[metadata.dependencies]]
id = "jdk"
version = "17.0.10"
sha256 = "cccc"
stacks = ["*"]
arch = "arm64"
os = "linux"
`)
	put("tools/buildpack.toml", "api = \"0.10\"\n[buildpack]\nid = \"acme/tools\"\nversion = \"1\"\n[[order]]\n[[order.group]]\nid = \"acme/a\"\nversion = \"1\"\n[[order.group]]\nid = \"acme/b\"\nversion = \"1\"\n")
	for _, bin := range []string{"detect", "build"} {
		put("jdk/bin/"+bin, "#!/bin/sh\n")
	}
	put("java.toml", "[buildpack]\nuri = \"java\"\n[[dependencies]]\nuri = \"jdk\"\n[[dependencies]]\nuri = \"tools\"\n[[dependencies]]\nuri = \"a\"\n[[dependencies]]\nuri = \"b\"\n")
	Expect(laminate("package", "-q", "oci:buildpackage", "-c", "java.toml", "--flatten-layers", "-t", "linux/amd64").code).To(BeZero())
	Expect(laminate("package", "-q", "oci:index", "-c", "java.toml", "-t", "linux/amd64", "-t", "linux/arm64").code).To(BeZero())

	put("curl/extension.toml", "api = \"0.10\"\n[extension]\nid = \"acme/curl\"\nversion = \"1\"\nname = \"Acme curl\"\n[[metadata.dependencies]]\nid = \"curl\"\nversion = \"8\"\nsource = \"acme/run-curl\"\n")
	put("curl/bin/generate", "#!/bin/sh\n")
	Expect(laminate("extension", "package", "-q", "oci:extension", "-p", "curl").code).To(BeZero())

	toml, err := os.ReadFile("builder.toml")
	Expect(err).NotTo(HaveOccurred())
	put("builder.toml", "description = \"Java and more\"\n[[buildpacks]]\nuri = \"oci:buildpackage\"\n[[extensions]]\nuri = \"curl\"\nid = \"acme/curl\"\nversion = \"1\"\n"+
		strings.Replace(string(toml), "[build]", "[[order]]\n[[order.group]]\nid = \"acme/java\"\n[[order-extensions]]\n[[order-extensions.group]]\nid = \"acme/curl\"\n[build]", 1))
	for _, mode := range []string{"composites", "none"} {
		r := create("oci:builder-"+mode, "-q", "--flatten="+mode)
		Expect(r.code).To(BeZero(), r.stderr)
	}
	app, err := fixtures.AppImage()
	Expect(err).NotTo(HaveOccurred())
	path, err := layout.Write("app", empty.Index)
	Expect(err).NotTo(HaveOccurred())
	Expect(path.AppendImage(app)).To(Succeed())
}

var (
	anyDigest = regexp.MustCompile(`sha256:([0-9a-f]{64})`)
	shortHex  = regexp.MustCompile(`\b[0-9a-f]{12}\b`)
)

// stable replaces digests, in which the version of laminate is, by others that stay.
func stable(text string) string {
	known := map[string]string{}
	text = anyDigest.ReplaceAllStringFunc(text, func(d string) string {
		if known[d] == "" {
			n := fmt.Sprintf("%02x", len(known)+1)
			known[d] = "sha256:" + strings.Repeat(n, 32)
			known[d[7:19]] = strings.Repeat(n, 6)
		}
		return known[d]
	})
	return shortHex.ReplaceAllStringFunc(text, func(d string) string {
		if to := known[d]; to != "" {
			return to
		}
		n := fmt.Sprintf("%02x", len(known)+1)
		known[d] = strings.Repeat(n, 6)
		return known[d]
	})
}

var inspected = []string{"builder-composites", "builder-none", "buildpackage", "index", "extension", "app"}

var _ = Describe("what inspect prints", Ordered, func() {
	BeforeAll(enterInspected)

	inspect := func(args ...string) string {
		GinkgoHelper()
		r := laminate(append([]string{"inspect"}, args...)...)
		Expect(r.code).To(BeZero(), r.stderr)
		return r.stdout
	}

	for _, name := range inspected {
		for _, form := range []string{"text", "json", "markdown"} {
			It("is, of "+name+", the "+form+" that it was", func() {
				args := []string{"oci:" + name, "--output", form}
				if form != "text" {
					args = append(args, "--read-layers")
				}
				printed := stable(inspect(args...))
				golden := filepath.Join(fixtures.Root(), "..", "cli", "testdata", "inspect", name+"."+form)
				if os.Getenv(updateInspect) != "" {
					Expect(os.MkdirAll(filepath.Dir(golden), 0o755)).To(Succeed())
					Expect(os.WriteFile(golden, []byte(printed), 0o644)).To(Succeed())
				}
				want, err := os.ReadFile(golden)
				Expect(err).NotTo(HaveOccurred())
				Expect(printed).To(Equal(string(want)), "write it anew with "+updateInspect+"=1")
			})
		}

		It("matches the schema, of "+name+", and is the same in YAML", func() {
			for _, more := range [][]string{nil, {"--read-layers"}} {
				document := inspect(append([]string{"oci:" + name, "--output", "json"}, more...)...)
				workbench.ExpectValid("inspect.schema.json", []byte(document))
				var fromYAML, fromJSON any
				text := inspect(append([]string{"oci:" + name, "--output", "yaml"}, more...)...)
				Expect(yaml.Unmarshal([]byte(text), &fromYAML)).To(Succeed())
				again, err := json.Marshal(fromYAML)
				Expect(err).NotTo(HaveOccurred())
				Expect(json.Unmarshal([]byte(document), &fromJSON)).To(Succeed())
				Expect(again).To(MatchJSON(document))
				Expect(text).To(HavePrefix("schema: 1\nname: oci:" + name + "\n"))
			}
		})
	}

	It("is of one platform with --target", func() {
		Expect(inspect("oci:index", "--target", "linux/arm64")).To(And(ContainSubstring("buildpackage for linux/arm64"), Not(ContainSubstring("amd64"))))
		Expect(inspect("oci:index")).To(And(ContainSubstring("buildpackage for linux/arm64"), ContainSubstring("buildpackage for linux/amd64")))
	})

	It("has colours only if asked for", func() {
		plain := inspect("oci:builder-none")
		Expect(plain).NotTo(ContainSubstring("\x1b"))
		coloured := inspect("oci:builder-none", "--force-color")
		Expect(coloured).To(ContainSubstring("\x1b[1mLayers\x1b[0m\n"))
		Expect(regexp.MustCompile(`\x1b\[[0-9]+m`).ReplaceAllString(coloured, "")).To(Equal(plain))
	})
})

// expectFit checks that a text can be shown by any terminal.
func expectFit(text string) {
	GinkgoHelper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		Expect(runewidth.StringWidth(line)).To(BeNumerically("<=", 100), line)
		Expect(strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) })).To(BeFalse(), "%q", line)
	}
}
