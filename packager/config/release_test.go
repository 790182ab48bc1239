package config

import (
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

const wholeRelease = `version-file = "VERSION"
[[builders]]
name = "full"
config = "builder.toml"
repositories = ["one.example.com/acme/builder", "[::1]:5000/acme/builder"]
targets = ["linux/amd64", "linux/arm64:ubuntu@24.04"]
flatten = "auto"
flatten-groups = [["acme/a@1", "acme/b@1"]]
flatten-exclude = ["acme/c@1"]
max-layers = 80
media-types = "oci"
skip-run-image-check = true
[[builders.variants]]
name = "standard"
[[builders.variants]]
name = "buildpackless"
description = "Bring your own."
[[builders.variants]]
name = "tiny"
config = "tiny/builder.toml"
tags = ["{version}-tiny", "tiny"]
[[builders.smoke]]
app = "apps/hello"
variants = ["standard", "buildpackless"]
buildpacks = ["docker://one.example.com/acme/go"]
run-image = "docker://one.example.com/acme/run"
network = "host"
timeout = "90s"
env = [{name = "A", value = "b"}]
[[builders.smoke]]
app = "apps/other"
network = "none"
[[buildpackages]]
name = "java"
config = "java/package.toml"
repositories = ["one.example.com/acme/java"]
flatten = "all"
[[buildpackages]]
name = "go"
config = "go/package.toml"
repositories = ["one.example.com/acme/go"]
tags = ["v{version}"]
[sign]
command = ["cosign", "sign", "{repository}@{digest}"]
key = "cosign.key"
`

// releaseOf has [[builders]] with what is required, and more lines.
func releaseOf(more ...string) string {
	return "[[builders]]\nname = 'full'\nconfig = 'b.toml'\nrepositories = ['r.io/b']\n" + strings.Join(more, "\n")
}

var _ = Describe("release.toml", func() {
	It("is read whole", func() {
		r, problems := ParseRelease("dir/release.toml", []byte(wholeRelease))
		Expect(problems).To(BeEmpty())
		Expect(r.Dir).To(Equal("dir"))
		Expect(r.VersionFile).To(Equal("VERSION"))
		Expect(*r.Sign).To(Equal(ReleaseSign{Command: []string{"cosign", "sign", "{repository}@{digest}"}, Key: "cosign.key"}))
		var titles []string
		var tags []string
		for _, img := range r.Images {
			titles = append(titles, img.Title())
			for _, t := range img.Tags {
				tags = append(tags, t.For("1.2.3", img))
			}
		}
		Expect(titles).To(Equal([]string{"full", "buildpackless-full", "tiny-full", "java", "go"}))
		Expect(tags).To(Equal([]string{"1.2.3-full", "full", "1.2.3-buildpackless-full", "buildpackless-full", "1.2.3-tiny", "tiny", "1.2.3", "latest", "v1.2.3"}))
		standard, less, tiny, java := r.Images[0], r.Images[1], r.Images[2], r.Images[3]
		Expect(standard.Repositories).To(Equal([]string{"one.example.com/acme/builder", "[::1]:5000/acme/builder"}))
		Expect(standard.Grouping).To(Equal(flatten.Grouping{Mode: flatten.Auto, Groups: [][]string{{"acme/a@1", "acme/b@1"}}, Exclude: []string{"acme/c@1"}}))
		Expect([]any{standard.MaxLayers, standard.MediaTypes, standard.SkipRunImageCheck}).To(HaveExactElements(80, "oci", true))
		Expect(standard.Targets).To(HaveLen(2))
		Expect(standard.Targets[1].String()).To(Equal("linux/arm64:ubuntu@24.04"))
		hello := ReleaseSmoke{App: "apps/hello", Buildpacks: []string{"docker://one.example.com/acme/go"}, RunImage: "docker://one.example.com/acme/run", Env: []EnvVar{{"A", "b"}}, Network: true, Timeout: "90s", Path: []any{"builders", 0, "smoke", 0}}
		other := ReleaseSmoke{App: "apps/other", Path: []any{"builders", 0, "smoke", 1}}
		Expect(standard.Smoke).To(Equal([]ReleaseSmoke{hello, other}))
		Expect(less.Smoke).To(Equal([]ReleaseSmoke{hello}))
		Expect(tiny.Smoke).To(Equal([]ReleaseSmoke{other}), "all that have buildpacks")
		Expect([]bool{standard.Buildpackless, less.Buildpackless, tiny.Buildpackless}).To(Equal([]bool{false, true, false}))
		Expect(less.Description).To(Equal("Bring your own."))
		Expect([]string{standard.Config, less.Config, tiny.Config}).To(Equal([]string{"builder.toml", "builder.toml", "tiny/builder.toml"}))
		Expect(java.Builder).To(BeFalse())
		Expect(java.Grouping.Mode).To(Equal(flatten.All))
		Expect([]bool{standard.Tags[0].Versioned(), standard.Tags[1].Versioned()}).To(Equal([]bool{true, false}))
	})

	It("has the standard variant where none is given", func() {
		r, problems := ParseRelease("f", []byte(releaseOf("tags = ['{name}-{variant}']")))
		Expect(problems).To(BeEmpty())
		Expect(r.Images).To(HaveLen(1))
		Expect(r.Images[0].Variant).To(Equal(StandardVariant))
		Expect(r.Images[0].Tags[0].For("1", r.Images[0])).To(Equal("full-standard"))
		Expect(r.Images[0].Grouping.Mode).To(Equal(flatten.None))
		Expect(r.Sign).To(BeNil())
	})

	It("is read from a file", func() {
		file := filepath.Join(GinkgoT().TempDir(), "release.toml")
		Expect(os.WriteFile(file, []byte(releaseOf("flatten = 'some'")), 0o600)).To(Succeed())
		_, err := ReadRelease(file)
		Expect(err).To(MatchError(file + `:5: invalid flatten "some"; write none, composites, all, auto or as-packaged`))
		_, err = ReadRelease(file + "x")
		Expect(os.IsNotExist(err)).To(BeTrue())
	})

	long := strings.Repeat("x", 130)
	DescribeTable("is refused", func(text string, want ...string) {
		_, problems := ParseRelease("f", []byte(text))
		Expect(problems.Err()).To(HaveOccurred())
		Expect(said(problems)).To(Equal(want))
	},
		Entry("with nothing in it", "version-file = 'V'", "0: there is nothing to release; write [[builders]] or [[buildpackages]]"),
		Entry("with empty lists", "builders = []", "0: there is nothing to release; write [[builders]] or [[buildpackages]]"),
		Entry("that is no TOML", "[[builders]", "1: expected ']]' to close array table name"),
		Entry("with unknown keys", releaseOf("tag = ['x']", "[[builders.variants]]\nname = 'standard'\nflatten = 'all'", "[[builder]]"),
			`5: unknown key "builders.tag"; did you mean "tags"?`,
			`8: unknown key "builders.variants.flatten"; flatten belongs in [[builders]] or in [[buildpackages]]`,
			`9: unknown key "builder"; did you mean "builders"?`),
		Entry("with a variant that differs in nothing", releaseOf("[[builders.variants]]\nname = 'buildpack-less'"),
			`5: variant "buildpack-less" is the same as the standard one; give it a config, a description or tags, or name it "buildpackless"`),
		Entry("without what is required", "[[builders]]\n[[builders.variants]]\n[[builders.smoke]]\n[[buildpackages]]\nname = ''\nconfig = ''\nrepositories = []",
			"1: builders.name is missing", "1: builders.config is missing", "1: builders.repositories is missing; name at least one",
			"2: builders.variants.name is missing", "3: builders.smoke.app is missing",
			"5: buildpackages.name is empty", "6: buildpackages.config is empty", "7: buildpackages.repositories is missing; name at least one"),
		Entry("with keys of the wrong type", "[[builders]]\nname = 1\nconfig = true\nrepositories = 'r.io/b'\ntargets = [1]\n[[buildpackages]]\nname = 'a'\nconfig = 'a'\nrepositories = [1]\nmax-layers = '3'\n[sign]\ncommand = 'cosign {ref}'",
			"2: builders.name must be a string, not a number", "3: builders.config must be a string, not true or false",
			"4: builders.repositories must be an array, not a string", "5: an element of builders.targets must be a string, not a number",
			"9: an element of buildpackages.repositories must be a string, not a number", "10: buildpackages.max-layers must be a whole number, not a string",
			"12: sign.command must be an array, not a string"),
		Entry("with keys of the wrong type in smoke", releaseOf("tags = [1]\nflatten = 1\n[[builders.smoke]]\napp = 1\nnetwork = 1\ntimeout = 1\nvariants = [1]\nenv = [{name = 1}]"),
			"5: an element of builders.tags must be a string, not a number", "6: builders.flatten must be a string, not a number",
			"8: builders.smoke.app must be a string, not a number", "9: builders.smoke.network must be a string, not a number",
			"10: builders.smoke.timeout must be a string, not a number", "11: an element of builders.smoke.variants must be a string, not a number",
			"12: builders.smoke.env.name must be a string, not a number"),
		Entry("with tables where arrays belong", "[builders]\nname = 'a'", "1: builders must be an array, not a table; write [[builders]]"),
		Entry("with names that tags cannot hold", "[[builders]]\nname = \"a b\\n\"\nconfig = 'b'\nrepositories = ['r.io/b']\n[[builders.variants]]\nname = '-x'\ndescription = 'd'\n[[buildpackages]]\nname = '"+long+"'\nconfig = 'b'\nrepositories = ['r.io/c']",
			`2: invalid builders.name "a b\n"; names may hold letters, digits, _, . and -`,
			`6: invalid builders.variants.name "-x"; names may hold letters, digits, _, . and -`,
			`9: invalid buildpackages.name "`+long[:80]+`…"; names may hold letters, digits, _, . and -`),
		Entry("with repositories that cannot be", "[[builders]]\nname = 'a'\nconfig = 'b'\nrepositories = ['', 'docker://r.io/b', 'r.io/b:1', 'me:secret@r.io/b', 'r.io/B', 'b', 'r.io/b@sha256:ab', 'r.io//b']",
			"4: invalid repository; write HOST/REPOSITORY, without scheme, user, tag or digest", "4: invalid repository; write HOST/REPOSITORY, without scheme, user, tag or digest",
			"4: invalid repository; write HOST/REPOSITORY, without scheme, user, tag or digest", "4: invalid repository; write HOST/REPOSITORY, without scheme, user, tag or digest",
			"4: invalid repository; write it in lower case", "4: invalid repository; write HOST/REPOSITORY, without scheme, user, tag or digest",
			"4: invalid repository; write HOST/REPOSITORY, without scheme, user, tag or digest", "4: invalid repository; write HOST/REPOSITORY, without scheme, user, tag or digest"),
		Entry("with tags that cannot be", releaseOf("tags = ['{version', '{Version}-{name}', '', '-{name}', '{version}-"+long[:120]+"', 'a/b']"),
			`5: invalid tag "{version"; tags may hold letters, digits, _, . and -`,
			`5: unknown {Version} in tag "{Version}-{name}"; the placeholders are {version}, {name}, {variant}`,
			`5: invalid tag ""; tags may hold letters, digits, _, . and -`,
			`5: invalid tag "-{name}"; tags may hold letters, digits, _, . and -`,
			`5: invalid tag "a/b"; tags may hold letters, digits, _, . and -`),
		Entry("with the tag of an attachment", releaseOf("tags = ['sha256-{name}']"), `5: invalid tag "sha256-{name}"; tags that begin with sha256- are those of attachments`),
		Entry("with a variant where there is none", "[[buildpackages]]\nname = 'a'\nconfig = 'b'\nrepositories = ['r.io/b']\ntags = ['{variant}']\nsmoke = []\n[[buildpackages.variants]]\nname = 'x'",
			`5: unknown {variant} in tag "{variant}"; the placeholders are {version}, {name}`,
			`6: unknown key "buildpackages.smoke"; smoke belongs in [[builders]]`, `7: unknown key "buildpackages.variants"; variants belongs in [[builders]] or in [[builders.smoke]]`),
		Entry("without tags, or variants", releaseOf("tags = []", "[[builders]]", "name = 'b'\nconfig = 'b'\nrepositories = ['r.io/b']\nvariants = []"),
			"5: there are no tags; name one, or leave tags out", "10: there are no variants; name one, or leave variants out"),
		Entry("with tags beside variants", releaseOf("tags = ['x']", "[[builders.variants]]", "name = 'a'\nconfig = ''"),
			"5: tags and variants cannot both be given; write the tags of each variant below [[builders.variants]]", "8: builders.variants.config is empty"),
		Entry("with tags that are taken", "[[builders]]\nname = 'a'\nconfig = 'b'\nrepositories = ['r.io/b']\ntags = ['{version}-a', 'x']\n[[builders]]\nname = 'c'\nconfig = 'b'\nrepositories = ['s.io/b', 'r.io/b']\ntags = ['{version}-a', 'x', 'x']",
			"6: duplicate tag s.io/b:x; give each image tags of its own", "6: duplicate tag r.io/b:{version}-a; give each image tags of its own",
			"6: duplicate tag r.io/b:x; give each image tags of its own", "6: duplicate tag r.io/b:x; give each image tags of its own"),
		Entry("with names that are taken", releaseOf("[[builders.variants]]\nname = 'x'\ndescription = 'd'\n[[builders.variants]]\nname = 'x'\ndescription = 'd'\n[[buildpackages]]\nname = 'x-full'\nconfig = 'p'\nrepositories = ['r.io/p']"),
			`8: variant "x": duplicate name "x-full"; give each image a name of its own`, `11: duplicate name "x-full"; give each image a name of its own`),
		Entry("with a plan that cannot be", releaseOf("flatten = ''\nmax-layers = 0\ntargets = ['linux/amd64:ubuntu']"),
			`5: invalid flatten ""; write none, composites, all, auto or as-packaged`, "6: max-layers must be from 1 to 125",
			`7: invalid target "linux/amd64:ubuntu": missing version of distribution "ubuntu"; write os/arch[/variant][:distro@version], as in linux/amd64 or linux/arm64:ubuntu@24.04`),
		Entry("with media types that cannot be", releaseOf("media-types = 'OCI'"), `5: invalid media-types "OCI"; write docker or oci`),
		Entry("with a run image of a buildpackage", "[[buildpackages]]\nname = 'a'\nconfig = 'b'\nrepositories = ['r.io/b']\nskip-run-image-check = true", `5: unknown key "buildpackages.skip-run-image-check"; skip-run-image-check belongs in [[builders]]`),
		Entry("with more layers than an engine loads", releaseOf("max-layers = 126"), "5: max-layers must be from 1 to 125"),
		Entry("with smoke that cannot be", releaseOf("[[builders.variants]]\nname = 'buildpackless'\n[[builders.smoke]]\napp = ''\nnetwork = 'bridge'\ntimeout = '30'\nvariants = ['standard', 'buildpackless']\nenv = [{name = 'A B', value = 'x'}]\n[[builders.smoke]]\napp = 'x'\ntimeout = '-1s'"),
			"7: the buildpackless variant builds nothing without buildpacks; name some", "8: builders.smoke.app is empty",
			`9: invalid network "bridge"; write none or host`, `10: invalid timeout "30"; write a duration, such as "90s" or "15m"`,
			`11: unknown variant "standard"`, `12: invalid env.name "A B"`, `15: invalid timeout "-1s"; write a duration, such as "90s" or "15m"`),
		Entry("with [sign] that signs nothing", releaseOf("[sign]"), "5: sign has neither command nor key"),
		Entry("with an empty command", releaseOf("[sign]\ncommand = ['']"), "6: sign.command is empty"),
	)

	It("gives valid tags for every version that a tag can hold", func() {
		for _, name := range []string{"full", "A.b_c-d", "_", "0", long[:100]} {
			for _, template := range []string{"{version}", "v{version}-{name}", "{name}.{variant}_{version}", "{variant}", "{version}{version}", "_{name}", ".{name}", "-{version}", "{name}", "x-{version}-{variant}-{name}", "{{name}}", "{name", "ä{version}", "{version}/{name}"} {
				r, problems := ParseRelease("f", []byte("[[builders]]\nname = '"+name+"'\nconfig = 'b'\nrepositories = ['r.io/b']\n[[builders.variants]]\nname = 'tiny'\ntags = ['"+template+"']"))
				if problems.Err() != nil {
					continue
				}
				for _, version := range []string{"0.0.0", "1.2.3", "10.20.30-rc.1", "1.0.0-0A.is.legal"} {
					tag := r.Images[0].Tags[0].For(version, r.Images[0])
					Expect(IsTag(tag)).To(Or(BeTrue(), Equal(len(tag) <= 128)), "%s of %s", tag, template)
				}
			}
		}
	})
})
