package packager_test

import (
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager"
	"laminate/packager/engine"
)

// said is an error's text with names on the bench as a user would see them.
func (b *bench) said(err error) string { return strings.ReplaceAll(err.Error(), b.Dir+"/", "") }

func (b *bench) saidWarnings() []string {
	var all []string
	for _, w := range b.Log.Warnings {
		all = append(all, strings.ReplaceAll(w, b.Dir+"/", ""))
	}
	return all
}

func maxLayers(n int) change { return func(o *packager.Options) { o.MaxLayers = n } }
func label(key, value string) change {
	return func(o *packager.Options) { o.Labels = map[string]string{key: value} }
}

var _ = Describe("wrong input", func() {
	type wrong struct {
		make    func(b *bench) string // gives the package.toml
		changes []change
		text    string
	}
	DescribeTable("is reported all at once, in the order in which it stands",
		func(w wrong) {
			b := newBench()
			err := b.fails(w.make(b), w.changes...)
			Expect(b.said(err)).To(Equal(strings.TrimPrefix(w.text, "\n")))
		},
		Entry("entries that are not there, and one that is there in other versions", wrong{make: func(b *bench) string {
			b.Component("acme/a@1")
			b.Composite("acme/root@1", "acme/a@1", "acme/gone@1", "acme/a@2", "acme/nowhere")
			return b.toml("acme_root@1", "acme_a@1")
		}, text: `
acme_root@1/buildpack.toml:13: missing buildpack acme/gone@1; no source provides it
acme_root@1/buildpack.toml:17: missing buildpack acme/a@2; found only 1
acme_root@1/buildpack.toml:21: missing buildpack acme/nowhere; no source provides it`}),
		Entry("at every depth", wrong{make: func(b *bench) string {
			b.Component("acme/a@1")
			b.Composite("acme/inner@1", "acme/a@1", "acme/gone@1")
			b.Composite("acme/root@1", "acme/inner@1", "acme/lost@1")
			return b.toml("acme_root@1", "acme_inner@1", "acme_a@1")
		}, text: `
acme_root@1/buildpack.toml:13: missing buildpack acme/lost@1; no source provides it
acme_inner@1/buildpack.toml:13: missing buildpack acme/gone@1; no source provides it`}),
		Entry("inside of a package", wrong{make: func(b *bench) string {
			b.Component("acme/a@1")
			b.Composite("acme/inner@1", "acme/a@1")
			img := b.build(b.toml("acme_inner@1", "acme_a@1"))
			l := layersLabelOf(img.Image)
			inner := l["acme/inner"]["1"]
			inner.Order[0].Entries[0].Version = "2"
			layers, err := img.Image.Layers()
			Expect(err).NotTo(HaveOccurred())
			b.keepCNB("inner.cnb", relabelled(img.Image, l, layers...))
			b.Composite("acme/root@1", "acme/inner@1")
			return b.toml("acme_root@1", "inner.cnb")
		}, text: `
inner.cnb: order of acme/inner@1: missing buildpack acme/a@2; found only 1`}),
		Entry("an entry without a version where several are there", wrong{make: func(b *bench) string {
			b.Component("acme/a@1")
			b.Component("acme/a@2")
			b.Composite("acme/root@1", "acme/a@2", "acme/a")
			return b.toml("acme_root@1", "acme_a@1", "acme_a@2")
		}, text: `
acme_root@1/buildpack.toml:13: buildpack acme/a is ambiguous: found 1, 2; name one`}),
		Entry("circles", wrong{make: func(b *bench) string {
			b.Composite("acme/a@1", "acme/b@1")
			b.Composite("acme/b@1", "acme/c@1", "acme/b@1")
			b.Composite("acme/c@1", "acme/a@1")
			b.Composite("acme/root@1", "acme/a@1")
			return b.toml("acme_root@1", "acme_a@1", "acme_b@1", "acme_c@1")
		}, text: `
acme_c@1/buildpack.toml:9: cycle in order: acme/a@1 -> acme/b@1 -> acme/c@1 -> acme/a@1; other entries that close a cycle: 1`}),
		Entry("dependencies that nobody uses", wrong{make: func(b *bench) string {
			b.Component("acme/a@1")
			b.Component("acme/b@1")
			b.Component("acme/c@1")
			b.Composite("acme/root@1", "acme/b@1")
			return b.toml("acme_root@1", "acme_a@1", "acme_b@1", "acme_c@1")
		}, text: `
package.toml:4: unused dependency acme_a@1 (acme/a@1): neither acme/root@1 nor its buildpacks refer to it
package.toml:10: unused dependency acme_c@1 (acme/c@1): neither acme/root@1 nor its buildpacks refer to it`}),
		Entry("a component with a dependency", wrong{make: func(b *bench) string {
			b.Component("acme/a@1")
			b.Component("acme/b@1")
			return b.toml("acme_a@1", "acme_b@1")
		}, text: `
package.toml:4: unused dependency acme_b@1 (acme/b@1): neither acme/a@1 nor its buildpacks refer to it`}),
		Entry("stacks that do not meet", wrong{make: func(b *bench) string {
			b.Add(module{Ref: "acme/a@1", TOML: "\n[[stacks]]\nid = \"jammy\"\n\n[[stacks]]\nid = \"noble\"\n"})
			b.Add(module{Ref: "acme/b@1", TOML: "\n[[stacks]]\nid = \"bionic\"\n"})
			b.Component("acme/c@1")
			b.Composite("acme/root@1", "acme/a@1", "acme/b@1", "acme/c@1")
			return b.toml("acme_root@1", "acme_a@1", "acme_b@1", "acme_c@1")
		}, text: `
acme_root@1: the buildpacks have no stack in common: acme/a@1 supports jammy, noble; acme/b@1 supports bionic`}),
		Entry("buildpacks that are for other targets", wrong{make: func(b *bench) string {
			b.Add(module{Ref: "acme/a@1", TOML: "\n[[targets]]\nos = \"linux\"\narch = \"arm64\"\n"})
			b.Add(module{Ref: "acme/b@1", TOML: "\n[[targets]]\nos = \"windows\"\narch = \"amd64\"\n\n[[targets]]\nos = \"linux\"\narch = \"arm64\"\n"})
			b.Composite("acme/root@1", "acme/a@1", "acme/b@1")
			return b.toml("acme_root@1", "acme_a@1", "acme_b@1")
		}, changes: []change{target("linux/amd64")}, text: `
acme_a@1/buildpack.toml:7: buildpack acme/a@1 is for linux/arm64, not for linux/amd64
acme_b@1/buildpack.toml:7: buildpack acme/b@1 is for windows/amd64, linux/arm64, not for linux/amd64`}),
		Entry("for both of two targets, what is wrong for both said once", wrong{make: func(b *bench) string {
			b.Add(module{Ref: "acme/a@1", TOML: "\n[[targets]]\nos = \"linux\"\narch = \"arm64\"\n"})
			b.Composite("acme/root@1", "acme/a@1", "acme/gone@1")
			return b.toml("acme_root@1", "acme_a@1")
		}, changes: []change{target("linux/amd64"), target("linux/s390x")}, text: `
acme_root@1/buildpack.toml:13: missing buildpack acme/gone@1; no source provides it`}),
		Entry("sources for several architectures", wrong{make: func(b *bench) string {
			b.keepCNB("a.cnb", b.build(b.toml(b.Component("acme/a@1")), target("linux/amd64")).Image)
			b.keepCNB("b.cnb", b.build(b.toml(b.Component("acme/b@1")), target("linux/arm64")).Image)
			b.keepCNB("c.cnb", b.build(b.toml(b.Component("acme/c@1")), target("linux/arm64/v8")).Image)
			b.Composite("acme/root@1", "acme/a@1", "acme/b@1", "acme/c@1")
			return b.toml("acme_root@1", "a.cnb", "b.cnb", "c.cnb")
		}, text: `
package.toml:7: b.cnb is for linux/arm64, but a.cnb is for linux/amd64: one image cannot hold both
package.toml:10: c.cnb is for linux/arm64/v8, but a.cnb is for linux/amd64: one image cannot hold both`}),
		Entry("what is wrong for one of two targets, with the target", wrong{make: func(b *bench) string {
			b.Add(module{Ref: "acme/a@1", TOML: "\n[[targets]]\nos = \"linux\"\narch = \"arm64\"\n"})
			b.Component("acme/spare@1")
			b.Composite("acme/root@1", "acme/a@1")
			return b.toml("acme_root@1", "acme_a@1", "acme_spare@1")
		}, changes: []change{target("linux/amd64"), target("linux/arm64")}, text: `
package.toml:7: unused dependency acme_spare@1 (acme/spare@1): neither acme/root@1 nor its buildpacks refer to it
target linux/amd64: acme_a@1/buildpack.toml:7: buildpack acme/a@1 is for linux/arm64, not for linux/amd64`}),
		Entry("a source for another architecture than the target", wrong{make: func(b *bench) string {
			b.keepCNB("a.cnb", b.build(b.toml(b.Component("acme/a@1")), target("linux/amd64")).Image)
			b.Composite("acme/root@1", "acme/a@1")
			return b.toml("acme_root@1", "a.cnb")
		}, changes: []change{target("linux/arm64")}, text: `
package.toml:4: a.cnb: no image for linux/arm64; available: linux/amd64`}),
		Entry("ids whose directories would be one", wrong{make: func(b *bench) string {
			b.Component("acme/a@1")
			b.Component("acme_a@1")
			b.Write("slash/buildpack.toml", module{Ref: "acme/a@1"}.Descriptor("buildpack"))
			b.Composite("acme/root@1", "acme/a@1", "acme_a@1")
			return b.toml("acme_root@1", "slash", "acme_a@1")
		}, text: `
buildpacks acme/a@1 (slash) and acme_a@1 (acme_a@1) share the directory /cnb/buildpacks/acme_a/1; change the id or version of one`}),
		Entry("one ref with two contents, and another ref likewise", wrong{make: func(b *bench) string {
			b.Component("acme/a@1")
			b.Write("other/buildpack.toml", module{Ref: "acme/a@1"}.Descriptor("buildpack"))
			b.Component("acme/b@1")
			b.Write("more/buildpack.toml", module{Ref: "acme/b@1"}.Descriptor("buildpack"))
			b.Composite("acme/root@1", "acme/a@1", "acme/b@1")
			return b.toml("acme_root@1", "acme_a@1", "other", "more", "acme_b@1")
		}, text: `
conflicting contents of buildpack acme/a@1 in acme_a@1 and in other; change the version of one, or choose one with --on-conflict first|last
conflicting contents of buildpack acme/b@1 in more and in acme_b@1; change the version of one, or choose one with --on-conflict first|last`}),
		Entry("sources that are not there, and what is no source", wrong{make: func(b *bench) string {
			b.Write("README.md", "hello")
			b.Composite("acme/root@1", "acme/a@1")
			return b.toml("acme_root@1", "./acme_a@1", "README.md", "urn:cnb:registry:acme/a", "oci:nothing")
		}, text: `
package.toml:5: source "./acme_a@1": acme_a@1 does not exist
package.toml:11: source "urn:cnb:registry:acme/a": the Buildpack Registry is not supported; write the image, as docker://REF`}),
		Entry("sources that cannot be opened", wrong{make: func(b *bench) string {
			b.Write("README.md", "hello")
			b.Write("deep/down/buildpack.toml", "")
			b.Write("bad/buildpack.toml", "api = 3\n[buildpack]\nid = \"x\"\n")
			b.Composite("acme/root@1", "acme/a@1")
			return b.toml("acme_root@1", "README.md", "deep", "bad")
		}, text: `
package.toml:4: README.md: unknown kind of archive; use tar, plain or compressed with gzip or zstd, or zip
package.toml:7: deep: missing buildpack.toml at the root; found one at down/buildpack.toml: use that directory, or repack with the file at the root
package.toml:10: bad/buildpack.toml:1: api must be a string, not a number
package.toml:10: bad/buildpack.toml:2: buildpack.version is missing`}),
		Entry("the root and its dependencies alike", wrong{make: func(b *bench) string {
			b.Write("root/buildpack.toml", "[buildpack]\nid = \"acme/root\"\n")
			b.Write("bad/buildpack.toml", "api = \"0.10\"\n")
			return b.toml("root", "bad")
		}, text: `
root/buildpack.toml: api is missing; write the Buildpack API version, as in api = "0.10", at the top
root/buildpack.toml:1: buildpack.version is missing
package.toml:4: bad/buildpack.toml: buildpack.id is missing
package.toml:4: bad/buildpack.toml: buildpack.version is missing`}),
		Entry("an archive, by its file and line", wrong{make: func(b *bench) string {
			b.Component("acme/a@1")
			b.Composite("acme/inner@1", "acme/a@1", "acme/gone@1")
			b.Composite("acme/root@1", "acme/inner@1")
			return b.toml("acme_root@1", b.tgz("acme_inner@1"), "acme_a@1")
		}, text: `
acme_inner@1.tgz/buildpack.toml:13: missing buildpack acme/gone@1; no source provides it`}),
		Entry("things of every kind", wrong{make: func(b *bench) string {
			b.Add(module{Ref: "acme/a@1", TOML: "\n[[targets]]\nos = \"linux\"\narch = \"arm64\"\n"})
			b.Write("other/buildpack.toml", module{Ref: "acme/a@1"}.Descriptor("buildpack"))
			b.Add(module{Ref: "acme/b@1", TOML: "\n[[stacks]]\nid = \"jammy\"\n"})
			b.Add(module{Ref: "acme/c@1", TOML: "\n[[stacks]]\nid = \"noble\"\n"})
			b.Component("acme/spare@1")
			b.Composite("acme/root@1", "acme/a@1", "acme/b@1", "acme/c@1")
			return b.toml("acme_root@1", "acme_a@1", "other", "acme_spare@1", "acme_b@1", "acme_c@1")
		}, changes: []change{target("linux/amd64"), maxLayers(3)}, text: `
conflicting contents of buildpack acme/a@1 in acme_a@1 and in other; change the version of one, or choose one with --on-conflict first|last
package.toml:10: unused dependency acme_spare@1 (acme/spare@1): neither acme/root@1 nor its buildpacks refer to it
acme_a@1/buildpack.toml:7: buildpack acme/a@1 is for linux/arm64, not for linux/amd64
acme_root@1: the buildpacks have no stack in common: acme/b@1 supports jammy; acme/c@1 supports noble
too many layers: 4, the limit is 3`}),
		Entry("wishes that mean nothing, beside what is wrong with the input", wrong{make: func(b *bench) string {
			b.Component("acme/a@1")
			b.Component("acme/spare@1")
			b.Composite("acme/root@1", "acme/a@1")
			return b.toml("acme_root@1", "acme_a@1", "acme_spare@1")
		}, changes: []change{exclude("acme/b")}, text: `
package.toml:7: unused dependency acme_spare@1 (acme/spare@1): neither acme/root@1 nor its buildpacks refer to it
unknown buildpack "acme/b"; did you mean acme/a@1 or acme/root@1?`}),
		Entry("too many layers", wrong{make: func(b *bench) string {
			b.Component("acme/a@1")
			b.Component("acme/b@1")
			b.Composite("acme/root@1", "acme/a@1", "acme/b@1")
			return b.toml("acme_root@1", "acme_a@1", "acme_b@1")
		}, changes: []change{maxLayers(2)}, text: `
too many layers: 3, the limit is 2`}),
		Entry("a label that is taken", wrong{make: func(b *bench) string {
			return b.toml(b.Component("acme/a@1"))
		}, changes: []change{label("io.buildpacks.buildpack.layers", "{}")}, text: `
label io.buildpacks.buildpack.layers is reserved; choose another name`}),
		Entry("targets that are not linux", wrong{make: func(b *bench) string {
			return b.toml(b.Component("acme/a@1"))
		}, changes: []change{target("windows/amd64"), target("linux/amd64"), target("linux/amd64")}, text: `
unsupported target windows/amd64: laminate makes images for linux only; write linux/amd64 or the like
duplicate target linux/amd64; remove one`}),
		Entry("a component for windows", wrong{make: func(b *bench) string {
			return b.toml(b.Add(module{Ref: "acme/a@1", TOML: "\n[[targets]]\nos = \"windows\"\n"}))
		}, text: `
acme_a@1/buildpack.toml:7: target windows: laminate makes images for linux only; choose targets with --target, as in --target linux/amd64`}),
		Entry("package.toml itself", wrong{make: func(b *bench) string {
			b.Write("package.toml", "[buildpack]\nurl = \".\"\n\n[[dependencies]]\nuri = \"x\"\nimage = \"y\"\n\n[platform]\nos = \"windows\"\n")
			return b.At("package.toml")
		}, text: `
package.toml:1: buildpack.uri is missing; write uri = "." for what is beside this file
package.toml:2: unknown key "buildpack.url"; did you mean "uri"?
package.toml:4: a dependency has both uri and image; remove one
package.toml:9: unsupported platform.os = "windows"; remove it: laminate makes images for linux only`}),
	)
})

var _ = Describe("doubtful input", func() {
	DescribeTable("targets for another system are skipped beside others, with one warning", func(file func(b *bench) string, warning string) {
		b := newBench()
		jobs, err := b.prepare(file(b))
		Expect(err).NotTo(HaveOccurred())
		var targets []string
		for _, j := range jobs {
			targets = append(targets, j.Target.String())
		}
		Expect(targets).To(Equal([]string{"linux/amd64", "linux/arm64"}))
		Expect(b.saidWarnings()).To(Equal([]string{warning}))
	},
		Entry("of a component", func(b *bench) string {
			return b.toml(b.Add(module{Ref: "acme/a@1", TOML: "\n[[targets]]\nos = \"linux\"\narch = \"amd64\"\n\n[[targets]]\nos = \"windows\"\narch = \"amd64\"\n\n[[targets]]\nos = \"linux\"\narch = \"arm64\"\n\n[[targets]]\nos = \"windows\"\n"}))
		}, "acme_a@1/buildpack.toml:11: target windows/amd64, windows skipped; laminate makes images for linux only"),
		Entry("of package.toml", func(b *bench) string {
			b.Component("acme/a@1")
			b.Composite("acme/root@1", "acme/a@1")
			file := b.toml("acme_root@1", "acme_a@1")
			raw, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			b.Write("package.toml", string(raw)+"\n[[targets]]\nos = \"linux\"\narch = \"amd64\"\n[[targets]]\nos = \"windows\"\narch = \"amd64\"\n[[targets]]\nos = \"linux\"\narch = \"arm64\"\n")
			return file
		}, "package.toml:10: target windows/amd64 skipped; laminate makes images for linux only"),
	)

	It("is warned of once, whatever the number of targets", func() {
		b := newBench()
		b.Component("acme/a@1")
		b.Write("acme_b@1/buildpack.toml", "api = \"0.99\"\n\n[buildpack]\nid = \"acme/b\"\nversion = \"1\"\nflavour = \"mint\"\n")
		b.Composite("acme/root@1", "acme/a", "acme/b@1")
		jobs, err := b.prepare(b.toml("acme_root@1", "acme_a@1", "acme_b@1"),
			target("linux/amd64"), target("linux/arm64"), flat(flatten.All))
		Expect(err).NotTo(HaveOccurred())
		Expect(jobs).To(HaveLen(2))
		Expect(b.saidWarnings()).To(Equal([]string{
			"acme_b@1/buildpack.toml:1: buildpack API 0.99 is unknown; laminate knows 0.2 to 0.12",
			`acme_b@1/buildpack.toml:6: unknown key "buildpack.flavour"`,
			"acme_b@1/buildpack.toml: acme/b@1 has no bin/detect",
			"acme_b@1/buildpack.toml: acme/b@1 has no bin/build",
			"acme_root@1/buildpack.toml:9: entry acme/a has no version; using acme/a@1, but the lifecycle does not resolve such an entry",
			"several buildpacks share a layer; the distribution spec asks for one layer per buildpack in a buildpackage",
		}))
	})

	It("is none where every buildpack has its layer", func() {
		b := newBench()
		b.build(b.toml(b.Component("acme/a@1")), flat(flatten.Composites))
		Expect(b.saidWarnings()).To(BeEmpty())
	})
})

var _ = Describe("a package.toml beside a root that was named without it", func() {
	It("is hinted at where something is missing, and only there", func() {
		b := newBench()
		b.Composite("acme/root@1", "acme/a@1")
		b.Write("acme_root@1/package.toml", "[buildpack]\nuri = \".\"\n")
		alone := func() error {
			o := packager.Options{Config: packager.ForBuildpack(flatten.Buildpack, b.At("acme_root@1")), Options: engine.Options{WorkDir: GinkgoT().TempDir()}}
			_, err := packager.Prepare(GinkgoT().Context(), b.opener(o.WorkDir), o)
			return err
		}
		Expect(alone()).To(MatchError(ContainSubstring("package with --config " + b.At("acme_root@1/package.toml"))))
		b.Component("acme/root@1")
		Expect(alone()).To(Succeed())
	})
})
