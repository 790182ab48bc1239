package builder_test

import (
	"context"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder"
	"laminate/flatten"
	"laminate/packager/engine"
	"laminate/packager/location"
	"laminate/packager/sink"
)

var _ = Describe("the automatic plan over a builder", func() {
	var b *bench
	var file string
	BeforeEach(func() {
		b = newBench()
		file = b.dozen()
	})

	DescribeTable("that laminate made otherwise keeps what there is", func(mode flatten.Mode, n int, kept int) {
		file = b.packed("%s.cnb", flatten.None)
		previous := b.build(file, flat(mode)).Image
		b.keepImage("previous", previous)
		img := b.build(file, auto(n), b.over("previous")).Image
		Expect(shared(img)[:kept]).To(Equal(shared(previous)[:kept]))
		Expect(blobsOf(img)[:2+kept]).To(Equal(blobsOf(previous)[:2+kept]))
	},
		Entry("exploded", flatten.None, 15, 12),
		Entry("by composites", flatten.Composites, 7, 4),
		Entry("in one layer", flatten.All, 4, 1),
	)

	It("that another tool made keeps its layers, as it compressed them, in their order", func() {
		other := likePack(b.build(file).Image)
		b.keepImage("previous", other)
		img := b.build(file, auto(15), b.over("previous")).Image
		Expect(shared(img)).To(Equal(shared(other)))
		Expect(blobsOf(img)[2:14]).To(Equal(blobsOf(other)[2:14]))
		Expect(b.Log.Warnings).To(BeEmpty())
	})

	It("that another tool made keeps them also where the sources are packages of laminate", func() {
		other := likePack(b.build(file).Image)
		b.keepImage("previous", other)
		file = b.packed("%s.cnb", flatten.None)
		for _, mode := range []flatten.Mode{flatten.Auto, flatten.None, flatten.AsPackaged} {
			Expect(blobsOf(other)).To(ContainElements(blobsOf(b.build(file, flat(mode), b.over("previous")).Image)[2:14]), string(mode))
		}
	})

	It("in a docker-archive, as in a daemon, keeps its plan: the layers are the same unpacked", func() {
		for _, n := range []int{15, 7} {
			first := b.build(file, auto(n)).Image
			at := location.Location{Kind: location.DockerArchive, Path: b.At("previous.tar"), Ref: "acme/builder:1", Written: "docker-archive:previous.tar"}
			_, err := sink.Write(context.Background(), at, []sink.Image{{Image: first}}, sink.Options{})
			Expect(err).NotTo(HaveOccurred())
			overIt := func(o *builder.Options) { o.Previous = &engine.PreviousImage{Location: at, Named: true} }
			Expect(digestOf(b.build(file, auto(n), overIt).Image)).To(Equal(digestOf(first)))
			o, err := b.plan(file, auto(n), overIt).Outlook(context.Background())
			Expect(err).NotTo(HaveOccurred())
			Expect(isNew(o)).To(HaveEach(false))
			Expect(o.Kept).To(Equal(n - 3))
			Expect(o.Besides).To(BeEmpty())
			remove(at.Path)
		}
	})

	It("that another tool flattened is planned anew: nothing of it can be had again", func() {
		b.keepImage("previous", likePack(b.build(file, flat(flatten.Composites)).Image))
		img := b.build(file, auto(7), b.over("previous")).Image
		b.Log.Tasks = nil
		b.keepImage("next", img)
		Expect(digestOf(b.build(file, auto(7), b.over("next")).Image)).To(Equal(digestOf(img)))
		Expect(b.built()).To(BeEmpty())
	})

	DescribeTable("whose labels lie or are broken is as good as none, or found out", func(key, value string, warned bool) {
		want := shared(b.build(file, auto(8)).Image)
		img := b.build(file, auto(8)).Image
		config := configOf(img).DeepCopy()
		config.Config.Labels[key] = strings.ReplaceAll(value, "BASE", config.RootFS.DiffIDs[0].String())
		lying, err := mutate.ConfigFile(img, config)
		Expect(err).NotTo(HaveOccurred())
		b.keepImage("previous", lying)
		Expect(shared(b.build(file, auto(8), b.over("previous")).Image)).To(ConsistOf(want))
		Expect(len(b.Log.Warnings) > 0).To(Equal(warned), "%q", b.Log.Warnings)
	},
		Entry("no JSON", flatten.BuildpackLayersLabel, "{", true),
		Entry("a layer that is not there", flatten.BuildpackLayersLabel, `{"acme/a":{"1":{"api":"0.10","layerDiffID":"sha256:`+strings.Repeat("0", 64)+`"}}}`, true),
		Entry("buildpacks in the build image's layer", flatten.BuildpackLayersLabel, `{"acme/a":{"1":{"api":"0.10","layerDiffID":"BASE"}},"acme/b":{"1":{"api":"0.10","layerDiffID":"BASE"}}}`, false),
		Entry("recipes that are none", flatten.RecipesLabelKey, "[]", true),
		Entry("other buildpacks", flatten.BuildpackLayersLabel, `{"x/a":{"1":{"api":"0.10","layerDiffID":"BASE"}}}`, false),
	)
})
