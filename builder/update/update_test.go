package update_test

import (
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/update"
	"laminate/fixtures"
)

var _ = Describe("updating", func() {
	var w *world

	BeforeEach(func() { w = newWorld() })

	DescribeTable("versions", func(tags, line, want string) {
		w.pushAll("example.com/acme/a", "acme/a", strings.Fields(tags)...)
		Expect(w.become(`uri = "docker://example.com/acme/a:`+line, update.Options{})).To(Equal(`uri = "docker://example.com/acme/a:` + want))
	},
		Entry("the newest, by number", "1.2.9 1.2.10 1.2.3", `1.2.3"`, `1.2.10"`),
		Entry("not an older one", "1.2.3 1.2.2", `1.2.3"`, `1.2.3"`),
		Entry("not an older one, whose tag was deleted", "1.2.2", `1.2.3"`, `1.2.3"`),
		Entry("past a deleted tag", "1.2.4", `1.2.3"`, `1.2.4"`),
		Entry("no pre-release", "1.2.3 1.3.0-rc.1 1.3.0-alpha2 1.3.0-20240101", `1.2.3"`, `1.2.3"`),
		Entry("a pre-release from one", "1.3.0-rc.1 1.3.0-rc.2 1.3.0-beta.9", `1.3.0-rc.1"`, `1.3.0-rc.2"`),
		Entry("a number after a number", "1.2.3-1 1.2.3-2 1.2.3-2-jammy", `1.2.3-1"`, `1.2.3-2"`),
		Entry("the release after a pre-release", "1.3.0-rc.1 1.3.0-rc.2 1.3.0", `1.3.0-rc.1"`, `1.3.0"`),
		Entry("no variant", "1.2.3 1.3.0-jammy 1.3.0-linux-x86-64", `1.2.3"`, `1.2.3"`),
		Entry("the same variant", "1.2.3-jammy 1.3.0-jammy 1.4.0 1.4.0-noble 1.4.0-rc.1-jammy 1.4.0-jammy-rc.1", `1.2.3-jammy"`, `1.3.0-jammy"`),
		Entry("a variant with numbers", "0.1.0-linux-x86-64 0.2.0-linux-x86-64 0.3.0-linux-arm64 0.3.0-rc.1-linux-x86-64", `0.1.0-linux-x86-64"`, `0.2.0-linux-x86-64"`),
		Entry("with v", "v1.2.3 v1.3.0 1.4.0", `v1.2.3"`, `v1.3.0"`),
		Entry("without v", "1.2.3 1.3.0 v1.4.0", `1.2.3"`, `1.3.0"`),
		Entry("strict ones only", "1.2.3 1.3 2 01.4.0 1.4.00 1.4.0.1 99999999999999999999.0.0", `1.2.3"`, `1.2.3"`),
		Entry("a range on the line", "1.2.3 1.2.4 1.3.0", `1.2.3" # laminate: ~1.2`, `1.2.4" # laminate: ~1.2`),
		Entry("a range of two", "1.2.3 1.9.9 2.0.0", `1.2.3" # laminate: >=1.2 <2`, `1.9.9" # laminate: >=1.2 <2`),
		Entry("a range that does not hold the current one", "1.2.9 2.0.0 2.1.0", `2.0.0" # laminate: ~1.2`, `2.0.0" # laminate: ~1.2`),
		Entry("a range and pre-releases", "1.3.0-rc.1 1.3.0-rc.2 1.4.0-rc.1", `1.3.0-rc.1" # laminate: ~1.3`, `1.3.0-rc.2" # laminate: ~1.3`),
		Entry("a range that names a pre-release", "1.3.0-rc.1 1.3.0-rc.2 1.3.0-rc.3", `1.3.0-rc.1" # laminate: <1.3.0-rc.3`, `1.3.0-rc.2" # laminate: <1.3.0-rc.3`),
		Entry("one of two ranges, and pre-releases", "1.3.0-rc.1 2.0.1-rc.1 2.1.0-rc.1", `1.3.0-rc.1" # laminate: >=1.3.0-rc.1 <1.4 || ~2.0`, `2.0.1-rc.1" # laminate: >=1.3.0-rc.1 <1.4 || ~2.0`),
		Entry("a pin behind a tag and a comma", "1.2.3 1.2.4", `1.2.3" # 1.2.3, laminate: pin`, `1.2.3" # 1.2.3, laminate: pin`),
		Entry("a pin", "1.2.3 1.2.4", `1.2.3" # laminate: pin # until 1.2.4 works`, `1.2.3" # laminate: pin # until 1.2.4 works`),
		Entry("other comments", "1.2.3 1.2.4", `1.2.3" # see laminate: the tool, ~1.0`, `1.2.4" # see laminate: the tool, ~1.0`),
		Entry("moving tags", "full-cnb latest 1.2 1.2.4", `full-cnb"`, `full-cnb"`),
		Entry("X.Y moves", "1.2 1.3 1.3.0", `1.2"`, `1.2"`),
	)

	DescribeTable("--only", func(only update.Only, want string) {
		w.pushAll("example.com/acme/a", "acme/a", "1.2.3", "1.2.4", "1.3.0", "2.0.0", "2.2.9")
		Expect(w.become(`uri = "docker://example.com/acme/a:1.2.3"`, update.Options{Only: only})).To(ContainSubstring(":" + want + `"`))
		Expect(w.become(`uri = "docker://example.com/acme/a:1.2.3" # laminate: <1.3`, update.Options{Only: only})).To(ContainSubstring(`:1.2.4"`))
	},
		Entry(nil, update.Patch, "1.2.4"), Entry(nil, update.Minor, "1.3.0"), Entry(nil, update.Major, "2.2.9"), Entry(nil, update.Only(""), "2.2.9"),
	)

	It("says what is newer, and why it is not taken", func() {
		w.pushAll("example.com/acme/a", "acme/a", "1.2.3", "1.2.4", "2.0.0")
		_, plan := w.updated("[[buildpacks]]\nuri = \"docker://example.com/acme/a:1.2.3\" # laminate: ~1.2\n", update.Options{})
		Expect(item(plan.Items[0])).To(Equal("builder.toml:2 buildpacks.uri example.com/acme/a 1.2.3 -> 1.2.4 (update) limited by ~1.2"))
		Expect(plan.Items[0].Newest).To(Equal("2.0.0"))
		_, plan = w.updated("[[buildpacks]]\nuri = \"docker://example.com/acme/a:1.2.4\"\n", update.Options{Only: update.Minor})
		Expect(item(plan.Items[0])).To(Equal("builder.toml:2 buildpacks.uri example.com/acme/a 1.2.4 ->  (held) limited by --only minor"))
		_, plan = w.updated("[[buildpacks]]\nuri = \"docker://example.com/acme/a:1.2.4\" # laminate: ~1.1\n", update.Options{})
		Expect(item(plan.Items[0])).To(HaveSuffix("1.2.4 ->  (held) 1.2.4 itself is not in ~1.1, and nothing newer is"))
		Expect(plan.Changes()).To(BeZero())
		_, plan = w.updated("[[buildpacks]]\nuri = \"docker://example.com/acme/a:1.2.3\" # laminate: pin\n[[buildpacks]]\nuri = 'example.com/acme/a:1.2.3'\n", update.Options{})
		Expect(item(plan.Items[0])).To(HaveSuffix("1.2.3 ->  (held) pinned"))
		Expect(item(plan.Items[1])).To(HaveSuffix("1.2.3 -> 2.0.0 (update)"))
		Expect(plan.Items[1].Newest).To(BeEmpty())
		w.pushAll("v.example.com/acme/v", "acme/v", "1.0.0", "1.1.0")
		_, plan = w.updated("[[buildpacks]]\nuri = 'v.example.com/acme/v:1.0.0'\n[[buildpacks]]\nuri = 'v.example.com:5000/acme/v'\n", update.Options{})
		Expect(item(plan.Items[0])).To(Equal("builder.toml:2 buildpacks.uri v.example.com/acme/v 1.0.0 -> 1.1.0 (update)"))
		Expect(item(plan.Items[1])).To(Equal("builder.toml:4 buildpacks.uri v.example.com:5000/acme/v  ->  (moving) the tag latest moves"))
	})

	It("limits only the line that a comment ends", func() {
		w.pushAll("example.com/acme/a", "acme/a", "1.0.0", "1.1.0")
		w.pushAll("example.com/acme/b", "acme/b", "1.0.0", "1.1.0")
		got, _ := w.updated("[stack]\nbuild-image = 'example.com/acme/a:1.0.0' # laminate: pin\nrun-image = 'example.com/acme/b:1.0.0'\n", update.Options{})
		Expect(got).To(Equal("[stack]\nbuild-image = 'example.com/acme/a:1.0.0' # laminate: pin\nrun-image = 'example.com/acme/b:1.1.0'\n"))
	})

	It("moves versions of the same kind only", func() {
		for _, v := range []string{"1.0.0", "2.0.0"} {
			w.push("example.com/acme/x:"+v, packagedAs("extension", "acme/x@"+v))
		}
		got, _ := w.updated("[[extensions]]\nuri = 'example.com/acme/x:1.0.0'\n[[order]]\ngroup = [{id = 'acme/x', version = '1.0.0'}]\n[[order-extensions]]\ngroup = [{id = 'acme/x', version = '1.0.0'}]\n", update.Options{})
		Expect(got).To(Equal("[[extensions]]\nuri = 'example.com/acme/x:2.0.0'\n[[order]]\ngroup = [{id = 'acme/x', version = '1.0.0'}]\n[[order-extensions]]\ngroup = [{id = 'acme/x', version = '2.0.0'}]\n"))
	})

	DescribeTable("constraints", func(text string, want int) {
		w.pushAll("example.com/acme/a", "acme/a", "1.0.0", "1.0.1", "1.1.0", "2.0.0")
		got, _ := w.updated(text, update.Options{})
		Expect(got).To(Equal(strings.ReplaceAll(text, "1.0.0", []string{"2.0.0", "1.1.0", "1.0.1", "1.0.0"}[want])))
	},
		Entry("above the line", "[[buildpacks]]\n# laminate: ~1.0\nuri = 'example.com/acme/a:1.0.0'\n", 2),
		Entry("further above, in a block of comments", "[[buildpacks]]\n# laminate: ~1.0\n# 1.1 is slow\nuri = 'example.com/acme/a:1.0.0'\n", 2),
		Entry("at the header", "[[buildpacks]] # laminate: ^1\nuri = 'example.com/acme/a:1.0.0'\n", 1),
		Entry("above the header", "# laminate: pin\n[[buildpacks]]\nid = 'acme/a'\nuri = 'example.com/acme/a:1.0.0'\n", 3),
		Entry("the nearest", "# laminate: pin\n[[buildpacks]]\nuri = 'example.com/acme/a:1.0.0' # laminate: ^1\n", 1),
		Entry("not of the one before", "[[buildpacks]]\nuri = 'x.tgz'\n[[buildpacks]]\nuri = 'example.com/acme/a:1.0.0'\n[[buildpacks]] # laminate: pin\nuri = 'example.com/acme/a:0.9.0'\n", 0),
		Entry("in a list, on the line", "[run]\n[[run.images]]\nimage = 'example.com/acme/other'\nmirrors = [\n 'example.com/acme/a:1.0.0', # laminate: ^1\n]\n", 1),
		Entry("in a list, above the line", "[[run.images]]\nimage = 'example.com/acme/other'\nmirrors = [\n # laminate: ^1\n 'example.com/acme/a:1.0.0',\n]\n", 1),
		Entry("at a list of mirrors", "[[run.images]]\nimage = 'example.com/acme/other'\nmirrors = [ # laminate: ^1\n 'example.com/acme/other:latest',\n 'example.com/acme/a:1.0.0',\n]\n", 1),
		Entry("above the list of the stack's mirrors", "[stack]\nrun-image = 'example.com/acme/other'\n# laminate: ^1\nrun-image-mirrors = [\n 'example.com/acme/other:latest',\n 'example.com/acme/a:1.0.0',\n]\n", 1),
		Entry("of a table", "# laminate: ^1\n[build]\nimage = 'example.com/acme/a:1.0.0'\n", 1),
		Entry("at the end of several lines", "[[buildpacks]]\nuri = '''\nexample.com/acme/a:1.0.0''' # laminate: ~1.0\n", 2),
		Entry("above several lines", "[[buildpacks]]\n# laminate: ~1.0\nuri = '''\nexample.com/acme/a:1.0.0'''\n", 2),
		Entry("CRLF", "[[buildpacks]]\r\n# laminate: ~1.0\r\nuri = 'example.com/acme/a:1.0.0'\r\n", 2),
		Entry("in an inline table", "buildpacks = [\n {uri = 'example.com/acme/a:1.0.0'}, # laminate: ~1.0\n]\n", 2),
	)

	It("moves versions that follow along", func() {
		w.push("example.com/acme/all:1.0.0", packaged("acme/all@1.0.0", "acme/in@3.0.0", "acme/two@1.0.0", "acme/two@2.0.0", "acme/gone@1.0.0"))
		w.push("example.com/acme/all:1.1.0", packaged("acme/all@1.1.0", "acme/in@3.0.1", "acme/two@1.5.0", "acme/two@2.5.0"))
		w.push("example.com/acme/ext:1.0.0", packagedAs("extension", "acme/ext@1.0.0"))
		w.push("example.com/acme/ext:2.0.0", packagedAs("extension", "acme/ext@2.0.0"))
		got, plan := w.updated(`
[[buildpacks]]
id = "acme/all"
version = "1.0.0"
uri = "docker://example.com/acme/all:1.0.0"
[[extensions]]
version = '1.0.0'
image = "example.com/acme/ext:1.0.0"
[[order]]
group = [{id = "acme/all", version = '1.0.0', optional = true}, {id = "acme/in", version = "3.0.0"}, {id = "acme/local", version = "1.0.0"}]
[[order]]
group = [{id = "acme/two", version = "1.0.0"}, {id = "acme/two", version = "2.0.0"}, {id = "acme/in"}, {id = "acme/gone", version = "1.0.0"}]
[[order-extensions]]
group = [{id = "acme/ext", version = "1.0.0"}]
[system.pre]
buildpacks = [{id = "acme/all", version = "1.0.0"}, {id = "acme/all", version = "0.1.0"}]
`, update.Options{})
		Expect(got).To(Equal(`
[[buildpacks]]
id = "acme/all"
version = "1.1.0"
uri = "docker://example.com/acme/all:1.1.0"
[[extensions]]
version = '2.0.0'
image = "example.com/acme/ext:2.0.0"
[[order]]
group = [{id = "acme/all", version = '1.1.0', optional = true}, {id = "acme/in", version = "3.0.1"}, {id = "acme/local", version = "1.0.0"}]
[[order]]
group = [{id = "acme/two", version = "1.5.0"}, {id = "acme/two", version = "2.5.0"}, {id = "acme/in"}, {id = "acme/gone", version = "1.0.0"}]
[[order-extensions]]
group = [{id = "acme/ext", version = "2.0.0"}]
[system.pre]
buildpacks = [{id = "acme/all", version = "1.1.0"}, {id = "acme/all", version = "0.1.0"}]
`))
		var warnings []string
		for _, p := range plan.Warnings {
			warnings = append(warnings, p.Message)
		}
		Expect(warnings).To(Equal([]string{
			"acme/gone@1.0.0 stays, but example.com/acme/all:1.1.0 does not have it any more",
			"acme/all@0.1.0 stays: example.com/acme/all had acme/all@1.0.0, and has acme/all@1.1.0 now",
		}))
		Expect(item(plan.Items[4])).To(Equal("builder.toml:10 order.group.version acme/all 1.0.0 -> 1.1.0 (update) with example.com/acme/all:1.1.0"))
	})

	It("moves what an entry names by its own image, whatever others have nested", func() {
		w.pushAll("example.com/acme/a", "acme/a", "1.0.0", "1.2.0")
		w.push("example.com/acme/all:1.0.0", packaged("acme/all@1.0.0", "acme/a@1.0.0"))
		for _, nested := range []string{"1.0.0", "1.1.0"} {
			w.push("example.com/acme/all:2.0.0", packaged("acme/all@2.0.0", "acme/a@"+nested))
			got, plan := w.updated("[[buildpacks]]\nuri = 'example.com/acme/all:1.0.0'\n[[buildpacks]]\nuri = 'example.com/acme/a:1.0.0'\n[[order]]\ngroup = [{id = 'acme/a', version = '1.0.0'}]\n", update.Options{})
			Expect(got).To(HaveSuffix("version = '1.2.0'}]\n"))
			Expect(plan.Warnings).To(BeEmpty())
		}
	})

	It("keeps the version of an entry that an image still has, and cannot choose between several", func() {
		w.push("example.com/acme/all:1.0.0", packaged("acme/all@1.0.0", "acme/a@1.0.0", "acme/b@1.0.0"))
		w.push("example.com/acme/all:2.0.0", packaged("acme/all@2.0.0", "acme/a@1.0.0", "acme/a@1.1.0", "acme/b@2.0.0", "acme/b@3.0.0"))
		text := "[[buildpacks]]\nuri = 'example.com/acme/all:1.0.0'\n[[order]]\ngroup = [{id = 'acme/a', version = '1.0.0'}, {id = 'acme/b', version = '1.0.0'}]\n"
		got, plan := w.updated(text, update.Options{})
		Expect(got).To(Equal(strings.Replace(text, "all:1", "all:2", 1)))
		Expect(plan.Warnings).To(HaveLen(1))
		Expect(plan.Warnings[0].Message).To(Equal("acme/b@1.0.0 stays, but example.com/acme/all:2.0.0 has 2.0.0 or 3.0.0 instead; choose one"))
	})

	It("keeps the version of an entry that one of two images still has", func() {
		for _, name := range []string{"one", "two"} {
			w.push("example.com/acme/"+name+":1.0.0", packaged("acme/"+name+"@1.0.0", "acme/b@1.0.0"))
		}
		w.push("example.com/acme/one:2.0.0", packaged("acme/one@2.0.0", "acme/b@2.0.0"))
		w.push("example.com/acme/two:2.0.0", packaged("acme/two@2.0.0", "acme/b@1.0.0"))
		got, _ := w.updated("[[buildpacks]]\nuri = 'example.com/acme/one:1.0.0'\n[[buildpacks]]\nuri = 'example.com/acme/two:1.0.0'\n[[order]]\ngroup = [{id = 'acme/b', version = '1.0.0'}]\n", update.Options{})
		Expect(got).To(HaveSuffix("group = [{id = 'acme/b', version = '1.0.0'}]\n"))
	})

	It("doubts a version beside a URI that the image did not have", func() {
		w.pushAll("example.com/acme/a", "acme/a", "1.0.0", "1.2.0")
		got, plan := w.updated("[[buildpacks]]\nuri = 'example.com/acme/a:1.0.0'\nversion = '1.1.0'\n", update.Options{})
		Expect(got).To(Equal("[[buildpacks]]\nuri = 'example.com/acme/a:1.2.0'\nversion = '1.1.0'\n"))
		Expect(plan.Warnings[0].Error()).To(HaveSuffix(`builder.toml:3: "1.1.0" stays: it is not the version that example.com/acme/a had`))
		Expect(plan.Warnings[0].Warning).To(BeTrue())
	})

	It("follows an image whose old tag is gone, by its tag", func() {
		w.pushAll("example.com/acme/a", "acme/a", "v1.1.0")
		got, _ := w.updated("[[buildpacks]]\nuri = 'example.com/acme/a:v1.0.0'\n[[order]]\ngroup = [{id = 'acme/a', version = '1.0.0'}]\n", update.Options{})
		Expect(got).To(ContainSubstring("version = '1.1.0'"))
	})

	It("leaves a repository alone that has another buildpack now", func() {
		w.pushAll("example.com/acme/a", "acme/a", "1.0.0")
		w.pushAll("example.com/acme/a", "acme/b", "1.1.0")
		_, plan := w.updated("[[buildpacks]]\nuri = 'example.com/acme/a:1.0.0'\n", update.Options{})
		Expect(item(plan.Items[0])).To(HaveSuffix("(held) 1.1.0 has acme/b instead of acme/a"))
		Expect(plan.Changes()).To(BeZero())
	})

	It("moves a composite's buildpack.toml with its package.toml", func() {
		w.pushAll("example.com/acme/a", "acme/a", "1.0.0", "1.1.0")
		for _, uri := range []string{"[buildpack]\nuri = '.'\n", "[buildpack]\nuri = 'build/built.tgz'\n", ""} {
			f := newFolder(map[string]string{
				"package.toml":   uri + "[[dependencies]]\nuri = 'docker://example.com/acme/a:1.0.0'\n",
				"buildpack.toml": "api = '0.9'\n[buildpack]\nid = 'acme/all'\nversion = '{{.version}}'\n[metadata]\nversion = '1.0.0'\n[[order]]\n[[order.group]]\nid = 'acme/a'\nversion = '1.0.0'\n",
			})
			plan, err := w.plan(f.at("package.toml"), update.Options{})
			Expect(err).NotTo(HaveOccurred())
			outputs, err := plan.Outputs()
			Expect(err).NotTo(HaveOccurred())
			Expect(outputs).To(HaveLen(2))
			Expect(outputs[1].Path).To(Equal(f.at("buildpack.toml")))
			Expect(string(outputs[1].New)).To(Equal("api = '0.9'\n[buildpack]\nid = 'acme/all'\nversion = '{{.version}}'\n[metadata]\nversion = '1.0.0'\n[[order]]\n[[order.group]]\nid = 'acme/a'\nversion = '1.1.0'\n"))
		}
	})

	It("finds the composite's directory, and leaves others alone", func() {
		w.pushAll("example.com/acme/a", "acme/a", "1.0.0", "1.1.0")
		files := map[string]string{
			"package.toml":       "[buildpack]\nuri = 'sub'\n[[dependencies]]\nuri = 'docker://example.com/acme/a:1.0.0'\n",
			"sub/buildpack.toml": "api = '0.9'\n[[order]]\ngroup = [{id = 'acme/a', version = '1.0.0'}]\n",
			"buildpack.toml":     "api = '0.9'\n[[order]]\ngroup = [{id = 'acme/a', version = '1.0.0'}]\n",
		}
		for uri, want := range map[string]string{"sub": "sub/buildpack.toml", "built.tgz": "buildpack.toml", "docker://example.com/acme/a:1.1.0": "buildpack.toml"} {
			files["package.toml"] = strings.Replace(files["package.toml"], "'sub'", "'"+uri+"'", 1)
			f := newFolder(files)
			f.write("built.tgz", "")
			plan, err := w.plan(f.at("package.toml"), update.Options{})
			Expect(err).NotTo(HaveOccurred())
			outputs, err := plan.Outputs()
			Expect(err).NotTo(HaveOccurred())
			Expect(outputs).To(HaveLen(2))
			Expect(outputs[1].Path).To(Equal(f.at(want)))
			files["package.toml"] = strings.Replace(files["package.toml"], "'"+uri+"'", "'sub'", 1)
		}
		files["sub/buildpack.toml"] = "api = '0.9'\n[buildpack]\nversion = '1.0.0'\n"
		plan, err := w.plan(newFolder(files).at("package.toml"), update.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(plan.Changes()).To(Equal(1))
	})

	It("updates base images, mirrors and the lifecycle", func() {
		w.pushTags("docker.io/acme/build", "1.0.0", "1.1.0", "1.2.0")
		w.pushTags("docker.io/acme/run", "1.0.0", "1.1.0", "1.2.0")
		w.pushTags("mirror.example.com/run", "1.0.0", "1.1.0")
		w.pushTags("docker.io/buildpacksio/lifecycle", "0.20.1", "0.21.0", "0.22.0-rc.1", "0.21.1-linux-x86-64", "latest")
		got, plan := w.updated(`
[build]
image = "acme/build:1.0.0"
[[run.images]]
image = "acme/run:1.0.0"
mirrors = ["mirror.example.com/run:1.0.0", "other.example.com/run:jammy"]
[stack]
id = "acme"
build-image = "index.docker.io/acme/build:1.0.0"
run-image = "acme/run:1.0.0"
run-image-mirrors = ["mirror.example.com/run:1.0.0"]
[lifecycle]
version = "v0.20.1"
`, update.Options{})
		Expect(got).To(Equal(`
[build]
image = "acme/build:1.2.0"
[[run.images]]
image = "acme/run:1.1.0"
mirrors = ["mirror.example.com/run:1.1.0", "other.example.com/run:jammy"]
[stack]
id = "acme"
build-image = "index.docker.io/acme/build:1.2.0"
run-image = "acme/run:1.1.0"
run-image-mirrors = ["mirror.example.com/run:1.1.0"]
[lifecycle]
version = "v0.21.0"
`))
		Expect(item(plan.Items[1])).To(Equal("builder.toml:5 run.images.image acme/run 1.0.0 -> 1.1.0 (update) mirror.example.com/run does not have it, or must not move to it"))
		Expect(plan.Items[1].Newest).To(Equal("1.2.0"))
	})

	It("keeps a run image with its pinned mirror", func() {
		w.pushTags("docker.io/acme/run", "1.0.0", "1.1.0")
		w.pushTags("mirror.example.com/run", "1.0.0", "1.1.0")
		text := "[[run.images]]\nimage = 'acme/run:1.0.0'\nmirrors = [\n 'mirror.example.com/run:1.0.0', # laminate: pin\n]\n"
		got, plan := w.updated(text, update.Options{})
		Expect(got).To(Equal(text))
		Expect(item(plan.Items[0])).To(HaveSuffix("1.0.0 ->  (held) mirror.example.com/run does not have it, or must not move to it"))
		Expect(item(plan.Items[1])).To(HaveSuffix("1.0.0 ->  (held) pinned"))
	})

	It("moves a mirror of another variant by itself", func() {
		w.pushTags("docker.io/acme/run", "1.0.0-jammy", "1.1.0-jammy")
		w.pushTags("mirror.example.com/run", "1.0.0", "1.2.0")
		got, _ := w.updated("[[run.images]]\nimage = 'acme/run:1.0.0-jammy'\nmirrors = ['mirror.example.com/run:1.0.0']\n", update.Options{})
		Expect(got).To(Equal("[[run.images]]\nimage = 'acme/run:1.1.0-jammy'\nmirrors = ['mirror.example.com/run:1.2.0']\n"))
	})

	It("asks for each list of tags once, and for each image once", func() {
		w.pushAll("example.com/acme/a", "acme/a", "1.0.0", "1.1.0", "1.2.0")
		w.Reset()
		text := "[[buildpacks]]\nuri = 'example.com/acme/a:1.0.0'\n[[buildpacks]]\nuri = 'docker://example.com/acme/a:1.1.0'\n[[buildpacks]]\nimage = 'example.com/acme/a:1.0.0'\n"
		got, _ := w.updated(text, update.Options{})
		Expect(strings.Count(got, ":1.2.0'")).To(Equal(3))
		Expect(w.Requests(func(r fixtures.Request) bool {
			return r.Kind == fixtures.Ping && r.Status == http.StatusOK && r.Down > 2
		})).To(HaveLen(1), "the list")
		Expect(w.Count(http.MethodGet, fixtures.Manifest)).To(Equal(3))
		Expect(w.Count(http.MethodGet, fixtures.Blob)).To(Equal(3))
		Expect(w.Requests(func(r fixtures.Request) bool { return r.Method != http.MethodGet })).To(BeEmpty())
		w.Reset()
		again, _ := w.updated(got, update.Options{})
		Expect(again).To(Equal(got))
		Expect(w.Count(http.MethodGet, fixtures.Manifest)).To(BeZero(), "nothing is newer")
	})
})
