package config_test

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/config"
)

// second is a project descriptor of schema version 0.2, and earlier one of 0.1.
const second = `# syntax=example.com/laminate-frontend

[_]
schema-version = "0.2"
id = "com.example.shop"
name = "Shop"
[[_.licenses]]
type = "MIT"
[_.metadata]
anything = { goes = 1 }

[io.buildpacks]
builder = "acme/builder:1"
exclude = ["/docs", "*.md"]

[[io.buildpacks.group]]
id = "acme/java"
version = "1.0.0"
[[io.buildpacks.group]]
uri = "docker://acme/maven"
[[io.buildpacks.group]]
id = "acme/banner"
[io.buildpacks.group.script]
api = "0.10"
inline = "echo hello"
shell = "/bin/bash"

[[io.buildpacks.pre.group]]
uri = "first"
[[io.buildpacks.post.group]]
uri = "last"

[[io.buildpacks.build.env]]
name = "BP_JVM_VERSION"
value = "21"

[com.example]
anything = "goes"
`

var earlier = strings.NewReplacer("[_]\nschema-version = \"0.2\"", "[project]", "[_.metadata]", "[metadata]", "_.", "project.",
	"io.buildpacks.group", "build.buildpacks", "io.buildpacks.build.env", "build.env", "io.buildpacks", "build").Replace(second)

func messages(problems config.Problems) []string {
	var all []string
	for _, p := range problems {
		kind := "error"
		if p.Warning {
			kind = "warning"
		}
		all = append(all, fmt.Sprintf("%s: %v", kind, p))
	}
	return all
}

var _ = Describe("a project descriptor", func() {
	DescribeTable("is read", func(text string) {
		p, problems := config.ParseProject("project.toml", []byte(text))
		Expect(messages(problems)).To(BeEmpty())
		Expect(p.ID).To(Equal("com.example.shop"))
		Expect(p.Name).To(Equal("Shop"))
		Expect(p.Builder).To(Equal("acme/builder:1"))
		Expect(p.Exclude).To(Equal([]string{"/docs", "*.md"}))
		Expect(p.Include).To(BeEmpty())
		for i := range p.Group {
			Expect(p.Group[i].Line).To(BeNumerically(">", 10))
			p.Group[i].Line = 0
		}
		Expect(p.Group).To(Equal([]config.ProjectBuildpack{
			{ID: "acme/java", Version: "1.0.0"},
			{URI: "docker://acme/maven"},
			{ID: "acme/banner", Script: config.ProjectScript{API: "0.10", Inline: "echo hello", Shell: "/bin/bash"}},
		}))
		Expect(p.Pre).To(HaveExactElements(HaveField("URI", "first")))
		Expect(p.Post).To(HaveExactElements(HaveField("URI", "last")))
		Expect(p.Env).To(Equal([]config.EnvVar{{Name: "BP_JVM_VERSION", Value: "21"}}))
	},
		Entry("of schema version 0.2", second),
		Entry("of schema version 0.3", strings.Replace(second, "0.2", "0.3", 1)),
		Entry("of the first generation", earlier),
	)

	It("may have its environment where early files of version 0.2 have it", func() {
		p, problems := config.ParseProject("project.toml", []byte("_.schema-version = '0.2'\n[[io.buildpacks.env.build]]\nname = 'A'\nvalue = 'b'\n"))
		Expect(messages(problems)).To(BeEmpty())
		Expect(p.Env).To(Equal([]config.EnvVar{{Name: "A", Value: "b"}}))
	})

	DescribeTable("has problems", func(text string, want ...any) {
		_, problems := config.ParseProject("project.toml", []byte(text))
		Expect(messages(problems)).To(HaveExactElements(want))
	},
		Entry("unknown keys", "[_]\nschema-version = '0.2'\nnmae = 'x'\n[io.buildpacks]\nbuildr = 'b'\nbuild.builder = 'c'\n",
			`warning: project.toml:3: unknown key "_.nmae"; did you mean "name"?`,
			`warning: project.toml:5: unknown key "io.buildpacks.buildr"; did you mean "builder"?`,
			`warning: project.toml:6: unknown key "io.buildpacks.build.builder"; builder belongs in [io.buildpacks]`),
		Entry("unknown keys of the first generation", "[build]\nx = 1\n[whatever]\ny = 2\n", `warning: project.toml:2: unknown key "build.x"`),
		Entry("tables of the other generation", "[io.buildpacks]\nbuilder = 'b'\n",
			`warning: project.toml:1: [io.buildpacks] is ignored without a schema version; add schema-version = "0.2" to [_]`),
		Entry("tables of the first generation", "_.schema-version = '0.2'\n[build]\nbuilder = 'b'\n",
			`warning: project.toml:2: [project] and [build] are ignored in schema version 0.2; write [_] and [io.buildpacks]`),
		Entry("a schema version", "_.schema-version = '1.0'\n", `error: project.toml:1: unknown schema-version "1.0"; known are "0.1", "0.2" and "0.3"`),
		Entry("types", "_.schema-version = '0.2'\n[io.buildpacks]\nbuilder = 1\nexclude = 'x'\n",
			"error: project.toml:3: io.buildpacks.builder must be a string, not a number",
			"error: project.toml:4: io.buildpacks.exclude must be an array, not a string"),
		Entry("include and exclude", "[build]\ninclude = ['a']\nexclude = ['b']\n", "error: project.toml:3: include and exclude cannot be used together; remove one"),
		Entry("patterns", "[build]\ninclude = ['a', \"a\\nb\"]\n", `error: project.toml:2: invalid pattern "a\nb" in include`),
		Entry("licenses", "[[project.licenses]]\n", "error: project.toml:1: project.licenses needs a type or a uri"),
		Entry("buildpacks", "[[build.buildpacks]]\n[[build.buildpacks]]\nuri = 'x'\nversion = '1'\n[[build.buildpacks]]\nuri = 'x'\nscript.inline = 'x'\n"+
			"[[build.buildpacks]]\nid = 'x'\nscript.inline = 'x'\n[[build.buildpacks]]\nid = 'x'\nscript.api = '0.10'\n[[build.buildpacks]]\nscript.inline = 'x'\n",
			"error: project.toml:1: build.buildpacks needs an id or a uri",
			"error: project.toml:2: build.buildpacks has a uri and a version, which the buildpack has itself; remove the version",
			"error: project.toml:5: build.buildpacks has a uri and a script; remove one",
			`error: project.toml:8: build.buildpacks.script.api is missing; write the Buildpack API, such as "0.10"`,
			"error: project.toml:11: build.buildpacks.script.inline is missing",
			"error: project.toml:14: build.buildpacks.id is missing; a script needs one"),
		Entry("an environment", "[[build.env]]\nname = '../x'\n[[build.env]]\nvalue = 'x'\n[[build.env]]\nname = 'A'\nvalue = \"\\u0000\"\n",
			`error: project.toml:1: invalid build.env.name "../x"`,
			"error: project.toml:3: build.env.name is missing",
			"error: project.toml:5: build.env.value has a NUL character"),
		Entry("no TOML", "[_\n", HavePrefix("error: project.toml:1: ")),
	)
})
