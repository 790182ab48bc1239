package config

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

// images is what a builder.toml needs besides, on one line.
const images = "build.image = 'b'\nrun.images = [{image = 'r'}]\n"

var _ = Describe("a builder.toml", func() {
	DescribeTable("is refused, or doubted, where it is wrong, with the line",
		func(toml string, want ...string) {
			_, problems := ParseBuilder("builder.toml", []byte(toml))
			Expect(said(problems)).To(Equal(want))
		},
		Entry("nothing in it", "",
			`0: the build image is missing; write image = "..." below [build]`,
			`0: the run image is missing; write image = "..." below [[run.images]]`),
		Entry("no build image", "[build]\n[[run.images]]\nimage = 'r'", `1: the build image is missing; write image = "..." below [build]`),
		Entry("two build images", "[build]\nimage = 'b'\n[stack]\nid = 's'\nbuild-image = 'c'\n[[run.images]]\nimage = 'r'",
			`5: conflicting stack.build-image "c" and build.image "b"; remove one`),
		Entry("a run image without a name", "[build]\nimage = 'b'\n[[run.images]]\nimage = 'r'\n[[run.images]]\nmirrors = ['m']", `5: run.images.image is missing`),
		Entry("two run images", "[build]\nimage = 'b'\n[stack]\nid = 's'\nrun-image = 'q'\n[[run.images]]\nimage = 'r'",
			`5: conflicting stack.run-image "q" and first of run.images "r"; remove one`),
		Entry("a stack without id, as pack takes it", "[stack]\nbuild-image = 'b'\nrun-image = 'r'",
			"? 1: stack.id is missing; the stacks of the images are not compared"),
		Entry("mirrors of nothing", "[build]\nimage = 'b'\n[stack]\nrun-image-mirrors = ['m']", `0: the run image is missing; write image = "..." below [[run.images]]`),

		Entry("a source that is nowhere", images+"[[buildpacks]]\nid = 'a'\n[[order]]\n[[order.group]]\nid = 'a'", "3: a buildpack has neither uri nor image; write uri = \"...\""),
		Entry("a source that is in two places", images+"[[extensions]]\nuri = 'a'\nimage = 'b'", "3: an extension has both uri and image; remove one"),
		Entry("buildpacks without an order", images+"[[buildpacks]]\nuri = 'a'", "? 0: there are buildpacks, but no [[order]]; builds use none of them"),
		Entry("a group without entries", images+"[[order]]\n[[order-extensions]]",
			"3: empty group in the order; add its [[order.group]]", "4: empty group in the order; add its [[order-extensions.group]]"),
		Entry("entries without id", images+"[[order]]\n[[order.group]]\nversion = '1'\n[[order-extensions]]\n[[order-extensions.group]]\n[[system.post.buildpacks]]\n[[system.pre.buildpacks]]",
			"4: id is missing", "7: id is missing", "8: id is missing", "9: id is missing"),

		Entry("a lifecycle from two places", images+"[lifecycle]\nuri = 'a'\nversion = '0.20.0'", "3: the lifecycle has both uri and version; remove one"),
		Entry("an invalid version", images+"[lifecycle]\nversion = '0.20'", `4: invalid lifecycle.version "0.20"; write a semantic version such as 0.21.0`),
		Entry("a target twice", images+"[[targets]]\nos = 'linux'\narch = 'amd64'\n[[targets]]\nos = 'linux'\narch = 'arm64'\n[[targets]]\nos = 'linux'\narch = 'amd64'",
			"9: duplicate target linux/amd64; remove one"),
		Entry("targets that are none", images+"[[targets]]\nos = 'windows'\narch = 'amd64'\n[[targets]]\nos = 'linux'\narch = 'a/b/c'\n[[targets]]\narch = 'arm64'",
			`? 3: target windows/amd64 skipped; laminate makes images for linux only`,
			`6: invalid target "linux/a/b/c": want an operating system and an architecture; write os/arch[/variant][:distro@version], as in linux/amd64 or linux/arm64:ubuntu@24.04`,
			`9: unsupported target "arm64": laminate makes images for linux only; write os = "linux"`),

		Entry("targets for another system only", images+"[[targets]]\nos = 'windows'\narch = 'amd64'",
			`3: unsupported target "windows/amd64": laminate makes images for linux only; write os = "linux"`),

		Entry("unknown keys", images+"[[buildpack]]\nuri = 'a'\n[lifecycle]\nURI = 'a'\n[[targets]]\nos = 'linux'\ndistributions = []\nimage = 'x'",
			`3: unknown key "buildpack"; did you mean "buildpacks"?`, `6: unknown key "lifecycle.URI"; write "uri"`,
			`9: unknown key "targets.distributions"; write "distros"`, `10: unknown key "targets.image"; image belongs in [[buildpacks]] or in [[extensions]] or in [build] or in [[run.images]]`),
		Entry("values of another kind", images+"description = 1\n[[order]]\ngroup = 'a'",
			"3: description must be a string, not a number", "4: empty group in the order; add its [[order.group]]", "5: order.group must be an array, not a string"),
		Entry("no TOML", "a = ", "1: expected value, not end of input"),
	)

	DescribeTable("has its environment read",
		func(entries string, files map[string]string, want ...string) {
			c, problems := ParseBuilder("builder.toml", []byte(images+entries))
			if want == nil {
				want = []string{}
			}
			Expect(said(problems)).To(Equal(want))
			Expect(c.Env).To(Equal(files))
		},
		Entry("plain", "build.env = [{name = 'A', value = 'b'}]", map[string]string{"A": "b"}),
		Entry("every suffix", "build.env = [{name = 'A', value = '1', suffix = 'default'}, {name = 'A', value = '2', suffix = 'override'}, {name = 'A', value = '3', suffix = 'append', delim = ':'}, {name = 'A', value = '4', suffix = 'prepend', delim = ':'}]",
			map[string]string{"A.default": "1", "A.override": "2", "A.append": "3", "A.prepend": "4", "A.delim": ":"}),
		Entry("a delim of another entry", "build.env = [{name = 'A', value = '1', suffix = 'append'}, {name = 'A', value = '2', delim = ','}]",
			map[string]string{"A.append": "1", "A": "2", "A.delim": ","}),
		Entry("no delim", "[[build.env]]\nname = 'A'\nvalue = '1'\nsuffix = 'append'", map[string]string{"A.append": "1"}, "3: build.env A: suffix append requires a delim"),
		Entry("an empty value", "[[build.env]]\nname = 'A'", map[string]string{"A": ""}, "? 3: build.env A has an empty value"),
		Entry("the same twice", "[[build.env]]\nname = 'A'\nvalue = '1'\n[[build.env]]\nname = 'A'\nvalue = '2'", map[string]string{"A": "2"}, "? 6: build.env A is set twice; the last value is used"),
		Entry("two delims", "[[build.env]]\nname = 'A'\nvalue = '1'\ndelim = ':'\n[[build.env]]\nname = 'A'\nsuffix = 'append'\nvalue = '2'\ndelim = ','", map[string]string{"A": "1", "A.append": "2", "A.delim": ","}, "? 7: build.env A.delim is set twice; the last value is used"),
		Entry("execution environments", "[[build.env]]\nname = 'A'\nvalue = '1'\nexec-env = ['test']", map[string]string{"A": "1"}, "? 3: build.env A: exec-env is not supported in builders; the variable is always set"),
		Entry("no name", "[[build.env]]\nvalue = '1'", map[string]string{}, "3: build.env.name is missing"),
		Entry("a name that leads elsewhere", "[[build.env]]\nname = '../A'\nvalue = '1'", map[string]string{}, `3: invalid build.env.name "../A"`),
		Entry("another suffix", "[[build.env]]\nname = 'A'\nvalue = '1'\nsuffix = 'replace'", map[string]string{}, `3: build.env A: unknown suffix "replace"; use default, override, append or prepend`),
	)

	DescribeTable("names its images in the older way or the newer one",
		func(toml string, build, stack string, run ...flatten.RunImage) {
			c, problems := ParseBuilder("builder.toml", []byte(toml))
			Expect(problems.Err()).NotTo(HaveOccurred())
			Expect(c.BuildImage).To(Equal(build))
			Expect(c.StackID).To(Equal(stack))
			Expect(c.RunImages).To(Equal(run))
		},
		Entry("newer", "[build]\nimage = 'b'\n[[run.images]]\nimage = 'r'\nmirrors = ['m', 'n']\n[[run.images]]\nimage = 's'", "b", "",
			flatten.RunImage{Image: "r", Mirrors: []string{"m", "n"}}, flatten.RunImage{Image: "s"}),
		Entry("older", "[stack]\nid = 's'\nbuild-image = 'b'\nrun-image = 'r'\nrun-image-mirrors = ['m']", "b", "s", flatten.RunImage{Image: "r", Mirrors: []string{"m"}}),
		Entry("both, in agreement", "[stack]\nid = 's'\nbuild-image = 'b'\nrun-image = 'r'\nrun-image-mirrors = ['old']\n[build]\nimage = 'b'\n[[run.images]]\nimage = 'r'\nmirrors = ['m']", "b", "s",
			flatten.RunImage{Image: "r", Mirrors: []string{"m"}}),
		Entry("one of each", "[stack]\nid = 's'\nrun-image = 'r'\n[build]\nimage = 'b'", "b", "s", flatten.RunImage{Image: "r"}),
	)

	DescribeTable("is taken as others write it", func(toml string, sources, groups int) {
		c, problems := ParseBuilder("builder.toml", []byte(toml))
		Expect(said(problems)).To(BeEmpty())
		Expect(c.Buildpacks).To(HaveLen(sources))
		Expect(c.Order).To(HaveLen(groups))
	},
		Entry("Paketo", paketo, 3, 2),
		Entry("Heroku", heroku, 2, 2),
		Entry("Google", google, 3, 2),
		Entry("the samples of the project", samples, 2, 1),
	)

	It("can be used without its buildpacks", func() {
		c, problems := ParseBuilder("builder.toml", []byte(heroku+system))
		Expect(problems).To(BeEmpty())
		less := c.WithoutBuildpacks()
		Expect(less.System.Empty()).To(BeTrue())
		Expect(c.System.Empty()).To(BeFalse())
		Expect(less.Buildpacks).To(BeEmpty())
		Expect(less.Extensions).To(BeEmpty())
		Expect(less.Order).To(BeEmpty())
		Expect(less.OrderExtensions).To(BeEmpty())
		Expect(less.Env).To(Equal(c.Env))
		for written, want := range map[string]string{
			"":                "No buildpacks are included; specify them for each build.",
			" For Go.\n":      "For Go. No buildpacks are included; specify them for each build.",
			"Ubuntu, with Go": "Ubuntu, with Go. No buildpacks are included; specify them for each build.",
		} {
			c.Description = written
			Expect(c.WithoutBuildpacks().Description).To(Equal(want))
		}
	})
})

const (
	paketo = `description = "Ubuntu noble base image with buildpacks for Java, Go and .NET Core"

[[buildpacks]]
  uri = "docker://docker.io/paketobuildpacks/go:4.16.2"
  version = "4.16.2"

[[buildpacks]]
  uri = "docker://docker.io/paketobuildpacks/java:18.7.0"
  version = "18.7.0"

[[buildpacks]]
  image = "gcr.io/paketo-buildpacks/procfile:5.11.1"

[lifecycle]
  version = "0.20.8"

[[order]]

  [[order.group]]
    id = "paketo-buildpacks/go"
    version = "4.16.2"

[[order]]

  [[order.group]]
    id = "paketo-buildpacks/java"
    version = "18.7.0"
    optional = true

  [[order.group]]
    id = "paketo-buildpacks/procfile"

[build]
  image = "docker.io/paketobuildpacks/ubuntu-noble-build:0.0.50"

[run]
  [[run.images]]
    image = "docker.io/paketobuildpacks/ubuntu-noble-run:0.0.50"
    mirrors = ["gcr.io/paketo-buildpacks/ubuntu-noble-run:0.0.50"]

[stack]
  id = "io.buildpacks.stacks.noble"
  build-image = "docker.io/paketobuildpacks/ubuntu-noble-build:0.0.50"
  run-image = "docker.io/paketobuildpacks/ubuntu-noble-run:0.0.50"

[[targets]]
  os = "linux"
  arch = "amd64"
  [[targets.distros]]
    name = "ubuntu"
    version = "24.04"

[[build.env]]
  name = "BP_LOG_LEVEL"
  value = "INFO"
  suffix = "default"
`
	heroku = `description = "Ubuntu 24.04 AMD64+ARM64 base image with buildpacks for Go and Ruby"

[stack]
id = "heroku-24"
build-image = "heroku/heroku:24-build"
run-image = "heroku/heroku:24"

[lifecycle]
version = "0.20.11"

[[buildpacks]]
id = "heroku/go"
uri = "docker://docker.io/heroku/buildpack-go@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

[[buildpacks]]
uri = "docker://docker.io/heroku/buildpack-ruby@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

[[order]]
[[order.group]]
id = "heroku/go"
version = "1.0.1"
[[order.group]]
id = "heroku/procfile"
version = "4.2.1"
optional = true

[[order]]
[[order.group]]
id = "heroku/ruby"
version = "9.0.0"
`
	google = `description = "Ubuntu 22.04 base image with buildpacks for .NET, Go and Java"

[[buildpacks]]
  id = "google.entrypoint"
  uri = "google.entrypoint.tgz"

[[buildpacks]]
  id = "google.go.runtime"
  uri = "google.go.runtime.tgz"

[[buildpacks]]
  id = "google.utils.label-image"
  uri = "google.utils.label-image.tgz"

[[order]]
  [[order.group]]
    id = "google.go.runtime"
  [[order.group]]
    id = "google.entrypoint"
    optional = true

[[order]]
  [[order.group]]
    id = "google.utils.label-image"

[stack]
  id = "google.22"
  build-image = "gcr.io/buildpacks/google-22/build:latest"
  run-image = "gcr.io/buildpacks/google-22/run:latest"

[lifecycle]
  version = "0.20.5"
`
	samples = `[[buildpacks]]
id = "samples/java-maven"
version = "0.0.3"
uri = "../../buildpacks/java-maven"

[[buildpacks]]
uri = "docker://cnbs/sample-package:hello-universe"

[[extensions]]
id = "samples/tree"
version = "0.0.1"
uri = "../../extensions/tree"

[[order]]
[[order.group]]
id = "samples/java-maven"
version = "0.0.3"

[[order-extensions]]
[[order-extensions.group]]
id = "samples/tree"
version = "0.0.1"

[build]
image = "cnbs/sample-base-build:noble"
[run]
[[run.images]]
image = "cnbs/sample-base-run:noble"
`
	system = `
[[system.pre.buildpacks]]
id = "heroku/go"
exec-env = ["test"]

[[system.post.buildpacks]]
id = "heroku/ruby"
version = "9.0.0"
optional = true
`
)

var _ = Describe("ReadBuilder", func() {
	It("reads no more of a file than could be one", func() {
		file := filepath.Join(GinkgoT().TempDir(), "builder.toml")
		Expect(os.WriteFile(file, []byte(strings.Repeat("#", MaxSize+100)), 0o600)).To(Succeed())
		_, problems, err := ReadBuilder(file)
		Expect(err).NotTo(HaveOccurred())
		Expect(problems.Err()).To(MatchError(ContainSubstring("file is larger than 1024 KiB")))
		_, _, err = ReadBuilder(file + ".not")
		Expect(err).To(MatchError(ContainSubstring("no such file")))
	})

	It("refuses a named pipe, which could block for ever", func(SpecContext) {
		file := filepath.Join(GinkgoT().TempDir(), "builder.toml")
		Expect(syscall.Mkfifo(file, 0o600)).To(Succeed())
		_, _, err := ReadBuilder(file)
		Expect(err).To(MatchError(ContainSubstring("builder.toml: is a named pipe")))
	}, NodeTimeout(10*time.Second))
})
