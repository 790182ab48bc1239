package config_test

import (
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/config"
)

var _ = Describe("the metadata of a descriptor", func() {
	parse := func(text string) config.Metadata {
		GinkgoHelper()
		m, err := config.ParseMetadata("buildpack.toml", []byte(text))
		Expect(err).NotTo(HaveOccurred())
		return m
	}

	It("has dependencies and default versions as packit lists them", func() {
		m := parse(`
[metadata]
  include-files = ["bin/build"]
  [metadata.default-versions]
    node = "20.*.*"
    yarn = 1
  [[metadata.dependencies]]
    checksum = "sha512:aa"
    cpe = "cpe:2.3:a:nodejs:node.js:20.1.0:*:*:*:*:*:*:*"
    deprecation_date = "2026-04-30T00:00:00Z"
    id = "node"
    licenses = ["MIT", "ISC"]
    name = "Node Engine"
    purl = "pkg:generic/node@20.1.0"
    sha256 = "bb"
    source = "https://example.com/source.tgz"
    stacks = ["jammy", "*"]
    os = "linux"
    arch = "arm64"
    uri = "https://example.com/node.tgz"
    version = "20.1.0"
`)
		Expect(m.DefaultVersions).To(Equal(map[string]string{"node": "20.*.*", "yarn": "1"}))
		Expect(m.Dependencies).To(Equal([]config.MetadataDependency{{
			ID: "node", Name: "Node Engine", Version: "20.1.0", Checksum: "sha512:aa",
			URI: "https://example.com/node.tgz", Source: "https://example.com/source.tgz", Stacks: []string{"jammy", "*"},
			OS: "linux", Arch: "arm64", Licenses: []string{"MIT", "ISC"}, PURL: "pkg:generic/node@20.1.0", Deprecated: "2026-04-30",
		}}))
	})

	It("has dependencies as libpak lists them", func() {
		m := parse(`
[[metadata.dependencies]]
  cpes = ["cpe:2.3:a:oracle:jdk:17.0.4:*:*:*:*:*:*:*"]
  id = "jdk"
  purls = ["pkg:generic/jdk@17.0.4", "pkg:generic/other"]
  sha256 = "583d"
  version = "17.0.4"
  [[metadata.dependencies.licenses]]
    type = "GPL-2.0"
    uri = "https://example.com/gpl"
  [[metadata.dependencies.licenses]]
    uri = "https://example.com/own"
`)
		Expect(m.Dependencies).To(Equal([]config.MetadataDependency{{
			ID: "jdk", Version: "17.0.4", Checksum: "sha256:583d", Stacks: []string{},
			Licenses: []string{"GPL-2.0", "https://example.com/own"}, PURL: "pkg:generic/jdk@17.0.4",
		}}))
	})

	DescribeTable("has the day of a deprecation date", func(value, want string) {
		m := parse("[[metadata.dependencies]]\nid = \"a\"\nversion = \"1\"\ndeprecation_date = " + value)
		Expect(m.Dependencies[0].Deprecated).To(Equal(want))
	},
		Entry("a time", `2026-04-30T23:00:00-02:00`, "2026-05-01"),
		Entry("a local time", `2026-04-30T23:00:00`, "2026-04-30"),
		Entry("a date", `2026-04-30`, "2026-04-30"),
		Entry("a text", `"2026-04-30"`, "2026-04-30"),
		Entry("another text", `"in spring"`, "in spring"),
		Entry("a number", `2026`, ""),
	)

	DescribeTable("is empty where a buildpack has keys of its own", func(text string) {
		Expect(parse(text)).To(Equal(config.Metadata{Dependencies: []config.MetadataDependency{}, DefaultVersions: map[string]string{}}))
	},
		Entry("no table", `api = "0.10"`),
		Entry("another type", `metadata = "none"`),
		Entry("release", "[metadata.release.image]\nrepository = \"docker.io/heroku/buildpack-go\""),
		Entry("lists that are none", "[metadata]\ndependencies = 3\ndefault-versions = []"),
		Entry("other elements", "[metadata]\ndependencies = [1, \"a\", {id = 1, version = \"1\"}, {id = \"a\"}, {version = \"1\"}]"),
		Entry("other versions", "[metadata.default-versions]\na = []\nb = true"),
	)

	DescribeTable("refuses what is no TOML, and too much of it", func(text, want string) {
		_, err := config.ParseMetadata("buildpack.toml", []byte(text))
		Expect(err).To(MatchError(ContainSubstring(want)))
	},
		Entry("no TOML", "[metadata", "buildpack.toml:1"),
		Entry("too large", strings.Repeat("#\n", config.MaxSize), "larger than"),
		Entry("too deep", "[metadata]\na = "+strings.Repeat("[", 1000)+strings.Repeat("]", 1000), "nested"),
	)
})

func FuzzMetadata(f *testing.F) {
	f.Add([]byte("[[metadata.dependencies]]\nid = \"a\"\nversion = 1.5\nlicenses = [{type = 1}]\ndeprecation_date = 2020-01-01"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = config.ParseMetadata("buildpack.toml", data)
	})
}
