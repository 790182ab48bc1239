package config

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

// component is a buildpack.toml without a fault; what a test adds begins at line 5.
const component = `api = "0.10"
[buildpack]
id = "acme/java"
version = "1.2.3"
`

var _ = Describe("ParseModule", func() {
	It("reads a component with every key of the spec", func() {
		m, problems := ParseModule(flatten.Buildpack, "buildpack.toml", []byte(`
api = "0.10"

[buildpack]
id = "acme/java"
name = "Java"
version = "1.2.3"
homepage = "https://acme.example"
clear-env = true
description = "JVM"
keywords = ["java", 'jvm']
sbom-formats = ["application/spdx+json"]
exec-env = ["production"]

[[buildpack.licenses]]
type = "MIT"
uri = "https://acme.example/license"

[[stacks]]
id = "*"
mixins = ["git"]

[[targets]]
os = "linux"
arch = "arm"
variant = "v7"
[[targets.distros]]
name = "ubuntu"
version = "24.04"

[metadata]
anything = { at = [1, { all = 1979-05-27 }] }
[[metadata.more]]
ID = "x"
`))
		Expect(problems).To(BeEmpty())
		Expect(m.Module).To(Equal(flatten.Module{
			Kind: flatten.Buildpack,
			API:  "0.10",
			Info: flatten.Info{
				ID: "acme/java", Name: "Java", Version: "1.2.3", Description: "JVM", Homepage: "https://acme.example",
				Keywords: []string{"java", "jvm"}, ExecEnv: []string{"production"}, ClearEnv: true,
				Licenses: []flatten.License{{Type: "MIT", URI: "https://acme.example/license"}},
			},
			Stacks: []flatten.Stack{{ID: "*", Mixins: []string{"git"}}},
			Targets: []flatten.Target{{OS: "linux", Arch: "arm", Variant: "v7",
				Distros: []flatten.Distro{{Name: "ubuntu", Version: "24.04"}}}},
		}))
	})

	DescribeTable("reads an order however it is written", func(order string, lines [][]int) {
		m, problems := ParseModule(flatten.Buildpack, "buildpack.toml", []byte(component+order))
		Expect(said(problems)).To(BeEmpty())
		Expect(m.Order).To(Equal(flatten.Order{
			{Entries: []flatten.Entry{{ID: "a", Version: "1"}, {ID: "b", Version: "2", Optional: true, ExecEnv: []string{"test"}}}},
			{Entries: []flatten.Entry{{ID: "c"}}},
		}))
		for i, group := range lines {
			for j, want := range group {
				line, _ := m.Position("order", i, "group", j)
				Expect(line).To(Equal(want), "entry %d of group %d", j, i)
			}
		}
	},
		Entry("as nested arrays of tables", `[[order]]
[[order.group]]
id = "a"
version = "1"
  [[order.group]]
  id = "b"
  version = "2"
  optional = true
  exec-env = ["test"]

[[order]]
[[order.group]]
id = "c"
`, [][]int{{6, 9}, {16}}),
		Entry("as arrays of inline tables", `[[order]]
group = [
  { id = "a", version = "1" },
  # the next
  { id = "b", version = "2", optional = true, exec-env = ["test"] },
]
[[order]]
group = [{id="c"}]
`, [][]int{{7, 9}, {12}}),
		Entry("with quoted and spaced keys", `[[order]]
"group" = [ { "id" = "a", 'version' = "1" }, { id = "b", version = "2", optional = true, exec-env = ["test"] } ]
[[ order ]]
[[ "order" . group ]]
id = "c"
`, [][]int{{6, 6}, {8}}),
	)

	It("takes dotted keys and an order written as one array", func() {
		m, problems := ParseModule(flatten.Buildpack, "buildpack.toml", []byte(`api = "0.10"
buildpack.id = "a"
buildpack.version = "1"
order = [
  { group = [ {id = "x", version = "1"},
              {id = "y", version = "1"} ] },
  { group = [ {id = "z"} ] }]
`))
		Expect(said(problems)).To(BeEmpty())
		Expect(m.Ref()).To(Equal(flatten.Ref{ID: "a", Version: "1"}))
		Expect(m.Order.Entries()).To(HaveLen(3))
		Expect(m.Problem("no such buildpack", "order", 0, "group", 1)).To(Equal(
			Problem{File: "buildpack.toml", Line: 6, Column: 15, Message: "no such buildpack"}))
		Expect(m.Warning("w", "order", 1, "group", 0, "version").Error()).To(Equal("buildpack.toml:7: w"), "the nearest thing around")
		Expect(m.Problem("w", "order", 7).Line).To(Equal(4))
		Expect(m.Problem("w", "stacks", 0).Error()).To(Equal("buildpack.toml: w"))
	})

	DescribeTable("reads exec-env", func(written string, want []string, problems ...string) {
		m, ps := ParseModule(flatten.Buildpack, "buildpack.toml", []byte(component+written))
		Expect(said(ps)).To(ConsistOf(problems))
		Expect(m.Info.ExecEnv).To(Equal(want))
	},
		Entry("as strings", "exec-env = ['production', 'test']", []string{"production", "test"}),
		Entry("as tables", "[[buildpack.exec-env]]\nname = 'production'\n[[buildpack.exec-env]]\nname = 'test'", []string{"production", "test"}),
		Entry("as inline tables", "exec-env = [{name = 'test'}]", []string{"test"}),
		Entry("as something else", "exec-env = [1, {names = 'test'}, {name = 'test', only = true}]", []string{"", "", ""},
			"5: an element of buildpack.exec-env must be a string, not a table",
			"5: an element of buildpack.exec-env must be a string, not a number",
			"5: an element of buildpack.exec-env must be a string, not a table"),
	)

	DescribeTable("tells everything that is wrong with a buildpack.toml", func(text string, want ...string) {
		_, problems := ParseModule(flatten.Buildpack, "buildpack.toml", []byte(text))
		Expect(said(problems)).To(Equal(want))
	},
		Entry("nothing there", "",
			`0: api is missing; write the Buildpack API version, as in api = "0.10", at the top`,
			"0: buildpack.id is missing",
			"0: buildpack.version is missing"),
		Entry("no id, no version", "api = '0.9'\n\n[buildpack]\nname = 'x'",
			"3: buildpack.id is missing",
			"3: buildpack.version is missing"),
		Entry("empty and unfit", "api = '0.9'\n[buildpack]\nid = ''\nversion = '../1'",
			"3: buildpack: id is missing",
			`4: buildpack: invalid version "../1"; use letters, digits and . - _ +`),
		Entry("api after a table", "[buildpack]\nid = 'a'\nversion = '1'\napi = '0.9'",
			`0: api is missing; write the Buildpack API version, as in api = "0.10", at the top`,
			`? 4: unknown key "buildpack.api"; api belongs at the top of the file, before the first table`),
		Entry("keys before their table", "api = '0.9'\nversion = '1'\n[buildpack]\nid = 'a'",
			`? 2: unknown key "version"; version belongs in [buildpack] or in [[targets.distros]] or in [[order.group]]`,
			"3: buildpack.version is missing"),
		Entry("keys in capitals, which do not count", "api = '0.9'\n[buildpack]\nID = 'a'\nversion = '1'\nHomePage = 'x'",
			"2: buildpack.id is missing",
			`? 3: unknown key "buildpack.ID"; write "id"`,
			`? 5: unknown key "buildpack.HomePage"; write "homepage"`),
		Entry("unknown keys, each once and with what is meant", component+`descripton = "x"
zzz.yyy = 1
[[targets]]
os = "linux"
arch-variant = "v7"
[[targets.distributions]]
name = "ubuntu"
versions = ["x"]
[[targets.distros]]
name = "ubuntu"
versions = ["24.04"]
[elsewhere.deep]
a = 1
[elsewhere.down]
b = 1`,
			`? 5: unknown key "buildpack.descripton"; did you mean "description"?`,
			`? 6: unknown key "buildpack.zzz"`,
			`? 9: unknown key "targets.arch-variant"; write "variant"`,
			`? 10: unknown key "targets.distributions"; write "distros"`,
			`? 15: unknown key "targets.distros.versions"; did you mean "version"?`,
			`? 16: unknown key "elsewhere"`),
		Entry("types", `api = 0.10
targets = "linux"
[buildpack]
id = 1
version = 2020-01-01
clear-env = "true"
keywords = "java"
licenses = { type = "MIT" }
[stacks]
id = "*"
[[order]]
group = [ "a", [ "b" ], { id = true, optional = 1 } ]
`,
			"1: api must be a string, not a number",
			"2: targets must be an array, not a string",
			"4: buildpack.id must be a string, not a number",
			"5: buildpack.version must be a string, not a date",
			"6: buildpack.clear-env must be true or false, not a string",
			"7: buildpack.keywords must be an array, not a string",
			"8: buildpack.licenses must be an array, not a table; write [[buildpack.licenses]]",
			"9: stacks must be an array, not a table; write [[stacks]]",
			"12: an element of order.group must be a table, not an array",
			"12: an element of order.group must be a table, not a string",
			"12: order.group.id must be a string, not true or false",
			"12: order.group.optional must be true or false, not a number"),
		Entry("a table written as an array", "api = '0.9'\n[[buildpack]]\nid = 'a'\n",
			"2: buildpack must be a table, not an array; write [buildpack]"),
		Entry("an order beside stacks and targets", component+"[[stacks]]\nid = '*'\n[[targets]]\nos = 'linux'\n[[order]]\n[[order.group]]\nid = 'a'",
			"5: a buildpack with an [[order]] cannot have [[stacks]]; they are taken from its components",
			"7: a buildpack with an [[order]] cannot have [[targets]]; write them in its package.toml"),
		Entry("groups and entries", component+`[[order]]
[[order]]
group = []
[[order]]
[[order.group]]
version = "1"
[[order.group]]
id = "a@b"
version = "1/2"
[[order.group]]
id = ""
version = ""
[[order]]
group = "x"
`,
			"5: empty group in the order; add its [[order.group]]",
			"6: empty group in the order; add its [[order.group]]",
			"9: order.group.id is missing",
			`12: order.group: invalid id "a@b"; use letters, digits and . - _ +`,
			`13: order.group: invalid version "1/2"; use letters, digits and . - _ +`,
			"15: order.group: id is missing",
			"18: order.group must be an array, not a string"),
		Entry("targets that lead out of the buildpack", component+`[[targets]]
os = "../.."
[[targets]]
os = "linux"
arch = "amd64/.."
[[targets]]
distros = [{name = "ubuntu", version = "../22"}]
[[targets]]
os = "OpenVMS"
distros = [{name = "ubuntu"}, {version = "1"}]
`,
			`5: targets.os "../.." is invalid; use lower-case letters, digits, dots, dashes and underscores`,
			`7: targets.arch "amd64/.." is invalid; use lower-case letters, digits, dots, dashes and underscores`,
			`10: targets.distros: invalid distribution, name "ubuntu", version "../22"`),
		Entry("a key that stands twice", component+"id = 'b'", "5: key id is already defined"),
		Entry("a table that stands twice", component+"[buildpack]", "5: table buildpack already exists"),
		Entry("syntax", component+"name = \"x\ny = 1", "5: basic strings cannot have new lines"),
		Entry("a table in an array that is written out", "a = []\n[a.b]\nc = 1", "2: key a already exists as a value"),
		Entry("a date that is none", component+"[metadata]\nd = 2024-13-99", "6: impossible date"),
		Entry("the end in the middle", "api = [", "1: array is incomplete"),
		Entry("long keys and values", component+strings.Repeat("x", 1000)+" = 1\n"+strings.Repeat("é", 1000)[:0]+"'x"+strings.Repeat("é", 1000)+"' = 1",
			`? 5: unknown key "buildpack.`+strings.Repeat("x", 70)+`…"`,
			`? 6: unknown key "buildpack.x`+strings.Repeat("é", 34)+`…"`),
		Entry("control characters", component+"\"\\u001b[31m\" = 1\n[[order]]\ngroup = [{id = \"\\u001b\"}]",
			`? 5: unknown key "buildpack.\x1b[31m"`,
			`7: order.group: invalid id "\x1b"; use letters, digits and . - _ +`),
		Entry("control characters, twice", "\"\\u001b\" = 1\n\"\\u001b\" = 1", "2: key \ufffd is already defined"),
	)

	It("reads an extension.toml", func() {
		m, problems := ParseModule(flatten.Extension, "extension.toml",
			[]byte("\ufeffapi = '0.9'\r\n[extension]\r\nid = 'acme/curl'\r\nversion = '1'\r\n[[targets]]\r\nos='linux'\r\n"))
		Expect(problems).To(BeEmpty())
		Expect(m.Module).To(Equal(flatten.Module{Kind: flatten.Extension, API: "0.9",
			Info: flatten.Info{ID: "acme/curl", Version: "1"}, Targets: []flatten.Target{{OS: "linux"}}}))
	})

	It("refuses what an extension.toml cannot have", func() {
		_, problems := ParseModule(flatten.Extension, "extension.toml",
			[]byte("api = '0.9'\n[[stacks]]\nid = '*'\n[buildpack]\nid = 'a'\n[[order]]\n[[order.group]]\nid='a'"))
		Expect(said(problems)).To(Equal([]string{
			"0: extension.id is missing",
			"0: extension.version is missing",
			`? 2: unknown key "stacks"`,
			`? 4: unknown key "buildpack"`,
			"6: an extension cannot have an [[order]]; only a buildpack can",
		}))
	})

})
