package packager_test

import (
	"bytes"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
	"laminate/flatten"
	"laminate/packager/engine"
)

var _ = Describe("an exploded package of the samples", func() {
	facts, err := fixtures.PackGolden()
	if err != nil {
		panic(err)
	}
	samples := map[string]fixtures.Sample{}
	for _, s := range fixtures.Samples() {
		samples[s.Name] = s
	}
	for _, fact := range facts {
		It("has the layer that pack "+fact.Pack+" made of "+fact.Fixture+" "+fact.Target, func() {
			b := newBench()
			sample := samples[fact.Fixture]
			var names []string
			for _, name := range append([]string{sample.Name}, sample.Dependencies...) {
				dir := filepath.Base(name)
				Expect(fixtures.Write(b.At(dir), name)).To(Succeed())
				names = append(names, dir)
			}
			file := b.toml(names[0], names[1:]...)
			if sample.Extension {
				b.Write("package.toml", "[extension]\nuri = \""+names[0]+"\"\n")
			}
			var changes []change
			if fact.Target != "" {
				changes = append(changes, target(fact.Target))
			}
			img, err := b.run(file, changes...)
			Expect(err).NotTo(HaveOccurred())
			l := layerOf(img, fact.Ref)
			Expect(l.DiffID()).To(HaveField("String()", fact.DiffID))
			Expect(fixtures.Entries(bytes.NewReader(uncompressedTar(l)))).To(Equal(fact.Entries))
		})
	}

	It("of an extension has an extension's labels, and no others", func() {
		b := newBench()
		Expect(fixtures.Write(b.At("tree"), "extensions/tree")).To(Succeed())
		b.Write("package.toml", "[extension]\nuri = \"tree\"\n")
		img, err := b.run(b.At("package.toml"))
		Expect(err).NotTo(HaveOccurred())
		labels := configOf(img.Image).Config.Labels
		Expect(labels).To(HaveKey(flatten.ExtensionLayersLabel))
		Expect(labels).NotTo(HaveKey(flatten.BuildpackLayersLabel))
		Expect(labels[flatten.BuildpackageMetadataLabel]).To(ContainSubstring(`"stacks":null`))

		b.Keep(img.Image, "tree.cnb")
		b.Write("package.toml", "[extension]\nuri = \"tree.cnb\"\n")
		again, err := b.run(b.At("package.toml"))
		Expect(err).NotTo(HaveOccurred())
		Expect(digestOf(again.Image)).To(Equal(digestOf(img.Image)))
		Expect(b.fails(b.toml("tree.cnb"))).To(MatchError(
			"tree.cnb: wrong kind of package: label io.buildpacks.extension.layers instead of io.buildpacks.buildpack.layers"))
	})
})

// layerOf is the layer that holds just this ref.
func layerOf(img *engine.Image, ref string) engine.Layer {
	GinkgoHelper()
	for _, l := range img.Layers {
		if len(l.Plan.Refs) == 1 && l.Plan.Refs[0].String() == ref {
			return l
		}
	}
	Fail("no layer of " + ref + " alone")
	return engine.Layer{}
}
