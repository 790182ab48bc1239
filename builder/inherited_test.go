package builder_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder"
	"laminate/flatten"
	"laminate/packager/config"
)

var _ = Describe("a builder over a builder", func() {
	It("has no system buildpacks but its own, in its files as in its labels", func() {
		b := newBench()
		b.Component("acme/a@1")
		b.keepImage("base", b.build(b.toml(buildpacks("acme_a@1"), order("acme/a"), "[[system.pre.buildpacks]]\nid = 'acme/a'\n")).Image)
		Expect(seenIn(b.build(b.toml()).Image)["/cnb/system.toml"].Body).NotTo(ContainSubstring("acme/a"))
		less := func(o *builder.Options) { o.Config = o.Config.WithoutBuildpacks() }
		Expect(seenIn(b.build(b.toml(), less).Image)["/cnb/system.toml"].Body).NotTo(ContainSubstring("acme/a"))
	})
})

var _ = Describe("a target", func() {
	It("that is of another distribution than the build image is refused", func() {
		b := newBench()
		b.keepImage("base", ubuntu.image())
		Expect(b.fails(b.toml(), target("linux/amd64:debian@12"))).To(MatchError(ContainSubstring("which is for linux/amd64:ubuntu@24.04")))
		b.plan(b.toml(), target("linux/amd64:ubuntu@24.04"))
	})
})

var _ = Describe("a lifecycle for another machine", func() {
	It("is found out wherever its executables stand", func() {
		b := newBench()
		entries := append([]entry{file("lifecycle/aaa.sbom.json", "{}")}, lifecycleFiles{binary: elfFor(aarch64)}.entries()...)
		b.Write("lifecycle.tgz", gz(tarOf(entries...)))
		Expect(b.fails(b.toml())).To(MatchError(ContainSubstring("it is for linux/arm64, but the builder is for linux/amd64")))
	})
})

var _ = Describe("mirrors of the older form", func() {
	It("count where the newer form names none", func() {
		c, problems := config.ParseBuilder("builder.toml", []byte(strings.Join([]string{
			"[build]", "image = 'b'", "[stack]", "id = 's'", "run-image = 'r'", "run-image-mirrors = ['m']", "[[run.images]]", "image = 'r'", "",
		}, "\n")))
		Expect(problems.Err()).NotTo(HaveOccurred())
		Expect(c.RunImages).To(Equal([]flatten.RunImage{{Image: "r", Mirrors: []string{"m"}}}))
	})
})
