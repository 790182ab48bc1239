package config_test

import (
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/config"
)

var _ = Describe("a project.toml", func() {
	file := func(text string) string {
		GinkgoHelper()
		name := filepath.Join(GinkgoT().TempDir(), config.ProjectFile)
		Expect(os.WriteFile(name, []byte(text), 0o600)).To(Succeed())
		return name
	}

	DescribeTable("has keys that change a build", func(text string, want ...string) {
		Expect(config.ReadProjectKeys(file(text))).To(HaveExactElements(want))
	},
		Entry("of schema version 0.2", "[_]\nschema-version = '0.2'\nname = 'x'\n[io.buildpacks]\nbuilder = 'b'\nexclude = ['/a']\n"+
			"[[io.buildpacks.group]]\nid = 'x'\n[[io.buildpacks.build.env]]\nname = 'A'\n[build]\ninclude = ['b']\n",
			"io.buildpacks.exclude", "io.buildpacks.group", "io.buildpacks.build.env"),
		Entry("around the builder's order", "_.schema-version = '0.3'\n[[io.buildpacks.pre.group]]\nid = 'x'\n[[io.buildpacks.post.group]]\nid = 'y'\n",
			"io.buildpacks.pre", "io.buildpacks.post"),
		Entry("of schema version 0.1", "[project]\nid = 'x'\n[build]\ninclude = ['b']\n[[build.env]]\nname = 'A'\n[[build.buildpacks]]\nid = 'x'\n[io.buildpacks]\nexclude = ['c']\n",
			"build.include", "build.buildpacks", "build.env"),
		Entry("or none", "[_]\nschema-version = '0.2'\n[io.buildpacks]\nbuilder = 'b'\n"),
	)

	It("may be invalid, or missing", func() {
		name := file("[_\n")
		_, err := config.ReadProjectKeys(name)
		Expect(err).To(MatchError(HavePrefix(name + ":1: ")))
		_, err = config.ReadProjectKeys(name + "x")
		Expect(os.IsNotExist(err)).To(BeTrue())
	})
})
