package config

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

var _ = Describe("ParsePackage", func() {
	It("reads a package.toml", func() {
		p, problems := ParsePackage("some/where/package.toml", []byte(`
[buildpack]
uri = "."

[[dependencies]]
uri = "../hello-moon"

[[dependencies]]
image = "registry.example/hello-world:1"

[platform]
os = "linux"

[[targets]]
os = "linux"
arch = "amd64"
[[targets]]
os = "linux"
arch = "arm64"
`))
		Expect(said(problems)).To(BeEmpty())
		Expect(p.File).To(Equal("some/where/package.toml"))
		Expect(p.Dir).To(Equal("some/where"))
		Expect(p.Kind).To(Equal(flatten.Buildpack))
		Expect(p.URI).To(Equal("."))
		Expect(p.Dependencies).To(Equal([]Dependency{
			{URI: "../hello-moon", Line: 5},
			{Image: "registry.example/hello-world:1", Line: 8},
		}))
		Expect(p.Targets).To(Equal([]flatten.Target{{OS: "linux", Arch: "amd64"}, {OS: "linux", Arch: "arm64"}}))
		Expect(p.Problem("x", "targets", 1).Line).To(Equal(17))
	})

	It("reads the package.toml of an extension", func() {
		p, problems := ParsePackage("package.toml", []byte("extension.uri = './ext'"))
		Expect(said(problems)).To(BeEmpty())
		Expect(p.Kind).To(Equal(flatten.Extension))
		Expect(p.URI).To(Equal("./ext"))
		Expect(p.Dir).To(Equal("."))
	})

	It("knows the line of every dependency of an inline array", func() {
		p, problems := ParsePackage("p", []byte("dependencies = [\n{uri='a'},\n{uri='b'}]\n[buildpack]\nuri='.'"))
		Expect(said(problems)).To(BeEmpty())
		Expect(p.Dependencies).To(Equal([]Dependency{{URI: "a", Line: 2}, {URI: "b", Line: 3}}))
	})

	DescribeTable("tells everything that is wrong", func(text string, want ...string) {
		_, problems := ParsePackage("package.toml", []byte(text))
		Expect(said(problems)).To(Equal(want))
	},
		Entry("nothing there", "",
			`0: [buildpack] is missing; write uri = "." below it for a buildpack beside this file`),
		Entry("no uri", "\n[buildpack]\n", `2: buildpack.uri is missing; write uri = "." for what is beside this file`),
		Entry("an empty uri", "[extension]\nuri = ''", `2: extension.uri is empty; write uri = "." for what is beside this file`),
		Entry("both kinds, either way round", "[buildpack]\nuri = '.'\n[extension]\nuri = '.'",
			"3: a package cannot be both [buildpack] and [extension]"),
		Entry("both kinds, the other way round", "[extension]\nuri = '.'\n[buildpack]\nuri = '.'",
			"3: a package cannot be both [buildpack] and [extension]"),
		Entry("a table that is none", "buildpack = '.'", "1: buildpack must be a table, not a string"),
		Entry("unknown keys", `uri = "."
dependecies = []
[buildpack]
uri = "."
path = "."
URI = "x"
[[dependencies]]
ur = "a"
[[dependencies]]
image = "b"
imgae = "b"
[[dependency]]
uri = "a"
[platform]
arch = "amd64"
`,
			`1: unknown key "uri"; uri belongs in [buildpack] or in [extension] or in [[dependencies]]`,
			`2: unknown key "dependecies"; did you mean "dependencies"?`,
			`5: unknown key "buildpack.path"; known are uri`,
			`6: unknown key "buildpack.URI"; write "uri"`,
			`7: a dependency has neither uri nor image; write uri = "..."`,
			`8: unknown key "dependencies.ur"; did you mean "uri"?`,
			`11: unknown key "dependencies.imgae"; did you mean "image"?`,
			`12: unknown key "dependency"; did you mean "dependencies"?`,
			`15: unknown key "platform.arch"; arch belongs in [[targets]]`),
		Entry("dependencies", `[buildpack]
uri = "."
[[dependencies]]
uri = "a"
image = "b"
[[dependencies]]
[[dependencies]]
uri = ""
[[dependencies]]
image = ""
[[dependencies]]
uri = 7
`,
			"3: a dependency has both uri and image; remove one",
			`6: a dependency has neither uri nor image; write uri = "..."`,
			"8: dependencies.uri is empty",
			"10: dependencies.image is empty",
			"12: dependencies.uri must be a string, not a number"),
		Entry("dependencies that are no tables", "dependencies = ['a']\n[buildpack]\nuri='.'",
			"1: an element of dependencies must be a table, not a string"),
		Entry("an extension with dependencies", "[extension]\nuri='.'\n[[dependencies]]\nuri='a'",
			"3: a package of an [extension] cannot have [[dependencies]]"),
		Entry("Windows", "[buildpack]\nuri='.'\n[platform]\nos='windows'\n[[targets]]\nos='windows'\narch='amd64'",
			`4: unsupported platform.os = "windows"; remove it: laminate makes images for linux only`,
			`6: unsupported targets.os = "windows"; remove the target: laminate makes images for linux only`),
		Entry("another platform", "[buildpack]\nuri='.'\n[platform]\nos='plan9'",
			`4: unsupported platform.os = "plan9"; remove it: laminate makes images for linux only`),
		Entry("targets", `[buildpack]
uri = "."
[[targets]]
arch = "amd64"
[[targets]]
os = ""
[[targets]]
os = "linux"
arch = "../amd64"
[[targets]]
os = "linux"
arch = "amd64"
[[targets]]
arch = "amd64"
os = "linux"
[[targets]]
os = []
[[targets]]
os = "Linux"
`,
			"3: targets.os is missing",
			"6: targets.os is empty",
			`7: targets.arch "../amd64" is invalid; use lower-case letters, digits, dots, dashes and underscores`,
			"13: duplicate target linux/amd64; remove one",
			"17: targets.os must be a string, not an array",
			`18: targets.os "Linux" is invalid; use lower-case letters, digits, dots, dashes and underscores`),
	)
})

var _ = DescribeTable("distance", func(a, b string, want int) {
	Expect(distance(a, b)).To(Equal(want))
	Expect(distance(b, a)).To(Equal(want))
},
	Entry(nil, "", "", 0),
	Entry(nil, "uri", "uri", 0),
	Entry(nil, "", "uri", 3),
	Entry(nil, "imgae", "image", 1),
	Entry(nil, "dependecies", "dependencies", 1),
	Entry(nil, "ca", "abc", 3),
	Entry(nil, "kitten", "sitting", 3),
)
