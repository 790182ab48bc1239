package builder_test

import (
	"context"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder"
	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/engine"
)

var _ = Describe("flattened composites", func() {
	var b *bench
	BeforeEach(func() {
		b = newBench()
		for _, ref := range []string{"acme/a@1", "acme/b@1", "acme/b@2", "acme/shared@1", "acme/alone@1"} {
			b.Component(ref)
		}
		b.Composite("acme/left@1", "acme/a@1", "acme/shared@1", "acme/b@1")
		b.Composite("acme/right@1", "acme/b@2", "acme/shared@1")
	})
	directories := func() string {
		return b.toml(buildpacks("acme_left@1", "acme_right@1", "acme_a@1", "acme_b@1", "acme_b@2", "acme_shared@1", "acme_alone@1"),
			order("acme/left@1", "acme/right@1", "acme/alone@1"))
	}
	pack := func() {
		b.pack("left.cnb", flatten.All, "acme_left@1", "acme_a@1", "acme_b@1", "acme_shared@1")
		b.pack("right.cnb", flatten.All, "acme_right@1", "acme_b@2", "acme_shared@1")
	}
	packages := func() string {
		pack()
		return b.toml(buildpacks("left.cnb", "right.cnb", "acme_alone@1"), order("acme/left@1", "acme/right@1", "acme/alone@1"))
	}

	DescribeTable("in directories come in the layers that are asked for", func(c change, want ...string) {
		Expect(shared(b.build(directories(), c).Image)).To(ConsistOf(want))
	},
		Entry("one each", flat(flatten.None), "acme/left@1", "acme/right@1", "acme/a@1", "acme/b@1", "acme/b@2", "acme/shared@1", "acme/alone@1"),
		Entry("one, where none is asked for", flat(""), "acme/left@1", "acme/right@1", "acme/a@1", "acme/b@1", "acme/b@2", "acme/shared@1", "acme/alone@1"),
		Entry("all listed in [[buildpacks]], and so top-level: components keep theirs", flat(flatten.Composites),
			"acme/left@1", "acme/right@1", "acme/a@1", "acme/b@1", "acme/b@2", "acme/shared@1", "acme/alone@1"),
		Entry("one", flat(flatten.All), "acme/a@1 acme/alone@1 acme/b@1 acme/b@2 acme/left@1 acme/right@1 acme/shared@1"),
		Entry("as packaged, where nothing is", flat(flatten.AsPackaged), "acme/left@1", "acme/right@1", "acme/a@1", "acme/b@1", "acme/b@2", "acme/shared@1", "acme/alone@1"),
		Entry("a group", group("acme/a@1", "acme/right"), "acme/left@1", "acme/a@1 acme/right@1", "acme/b@1", "acme/b@2", "acme/shared@1", "acme/alone@1"),
	)

	It("share a layer for each set of composites that brings it", func() {
		img := b.build(packages(), flat(flatten.Composites)).Image
		Expect(shared(img)).To(Equal([]string{"acme/a@1 acme/b@1 acme/left@1", "acme/shared@1", "acme/b@2 acme/right@1", "acme/alone@1"}))
	})

	It("are not exploded again where the plan wants their layer, and are where it does not", func() {
		pack()
		blob := blobOf(b, "left.cnb")
		file := b.toml(buildpacks("left.cnb", "acme_alone@1"), order("acme/left@1", "acme/alone@1"))
		b.Log.Tasks = nil
		img := b.build(file, flat(flatten.Composites)).Image
		Expect(shared(img)).To(Equal([]string{"acme/a@1 acme/b@1 acme/left@1 acme/shared@1", "acme/alone@1"}))
		Expect(blobsOf(img)).To(ContainElement(blob))
		Expect(b.Log.Tasks).NotTo(ContainElement(HavePrefix("building acme/left@1 ")))
		Expect(shared(b.build(file).Image)).To(HaveLen(5))
	})

	It("lose no files of a child that two of them share, nor show them from two layers", func() {
		want := shows(b.build(directories()).Image)
		file := packages()
		for _, mode := range []flatten.Mode{flatten.None, flatten.Composites, flatten.All, flatten.AsPackaged} {
			Expect(shows(b.build(file, flat(mode)).Image)).To(Equal(want)) // exact, too
		}
	})

	It("are found in orders by any of their refs, and no composite goes missing from the label", func() {
		img := b.build(packages(), group("acme/left@1", "acme/b@2"), exclude("acme/a")).Image
		Expect(shared(img)).To(ConsistOf("acme/b@2 acme/left@1", "acme/a@1", "acme/shared@1", "acme/b@1", "acme/right@1", "acme/alone@1"))
		Expect(layersLabelOf(img, flatten.Buildpack)["acme/left"]["1"].Order).To(HaveLen(1))
	})

	Describe("as packaged", func() {
		It("keep their one layer, the same in every builder that takes them, and nobody reads it", func() {
			pack()
			one := b.build(b.toml(buildpacks("left.cnb"), order("acme/left@1")), flat(flatten.AsPackaged)).Image
			other := b.build(b.toml(buildpacks("acme_alone@1", "left.cnb"), order("acme/alone@1 acme/left")), flat(flatten.AsPackaged)).Image
			blob := blobOf(b, "left.cnb")
			Expect(blobsOf(one)).To(ContainElement(blob))
			Expect(blobsOf(other)).To(ContainElement(blob))
			Expect(shared(one)).To(Equal([]string{"acme/a@1 acme/b@1 acme/left@1 acme/shared@1"}))
		})

		It("hold a shared child twice, of which the label names the first, and the plan tells", func() {
			job := b.plan(packages(), flat(flatten.AsPackaged))
			Expect(job.Plan).To(HaveLen(3))
			outlook, err := job.Outlook(context.Background())
			Expect(err).NotTo(HaveOccurred())
			doubled := outlook.Doubled
			Expect(doubled).To(HaveLen(1))
			Expect(doubled[0].Bytes).To(BeNumerically(">", 1000))
			doubled[0].Bytes = 0
			Expect(doubled[0]).To(Equal(engine.Double{Ref: flatten.Ref{ID: "acme/shared", Version: "1"}, Layer: 2, First: 1}))

			img := b.build(b.At("builder.toml"), flat(flatten.AsPackaged)).Image // exact but for this child:
			var in []int
			for i, l := range layersOf(img) {
				if strings.Contains(goldens(l), "/cnb/buildpacks/acme_shared/1/buildpack.toml") {
					in = append(in, i)
				}
			}
			Expect(in).To(Equal([]int{2, 3}))
			label := layersLabelOf(img, flatten.Buildpack)
			Expect(label["acme/shared"]["1"].LayerDiffID).To(Equal(label["acme/left"]["1"].LayerDiffID))
		})

		It("hold a shared child once where they have to be compressed anew", func() {
			job := b.plan(packages(), flat(flatten.AsPackaged), func(o *builder.Options) { o.Compression = layer.Zstd })
			img, err := job.Build(context.Background())
			Expect(err).NotTo(HaveOccurred())
			expectExact(img.Image, false)
			outlook, err := job.Outlook(context.Background())
			Expect(err).NotTo(HaveOccurred())
			Expect(outlook.Doubled).To(BeEmpty())
		})

		It("have what no label tells of doubled without a size", func() {
			Expect(engine.Modules{}.Doubled(nil)).To(BeEmpty())
		})

		It("must agree on a shared child: that they do not is an error that names both", func() {
			pack()
			b.Write("acme_shared@1/lib/data", "another")
			b.pack("right.cnb", flatten.All, "acme_right@1", "acme_b@2", "acme_shared@1")
			file := b.toml(buildpacks("left.cnb", "right.cnb"), order("acme/left@1", "acme/right@1"))
			for _, mode := range []flatten.Mode{flatten.AsPackaged, flatten.None, flatten.All} {
				Expect(b.message(b.fails(file, flat(mode)))).To(Equal("conflicting contents of buildpack acme/shared@1 in left.cnb and in right.cnb; change the version of one, or choose one with --on-conflict first|last"))
			}
		})
	})

	DescribeTable("of which two have other contents of one buildpack give the one that is asked for, under every plan", func(on engine.OnConflict, used string) {
		b.Write("acme_shared@1/lib/data", "one")
		pack()
		b.Write("acme_shared@1/lib/data", "another")
		b.pack("right.cnb", flatten.All, "acme_right@1", "acme_b@2", "acme_shared@1")
		settled := func(o *builder.Options) { o.OnConflict = on }
		wanted := b.toml(buildpacks(used), order("acme/"+strings.TrimSuffix(used, ".cnb")+"@1"))
		want := seenIn(b.build(wanted).Image)["/cnb/buildpacks/acme_shared/1/lib/data"].TarEntry

		file := b.toml(buildpacks("left.cnb", "right.cnb"), order("acme/left@1", "acme/right@1"))
		for _, mode := range []flatten.Mode{flatten.None, flatten.Composites, flatten.All, flatten.AsPackaged} {
			b.Log.Warnings = nil
			img := b.build(file, flat(mode), settled).Image
			expectExact(img, false)
			got := seenIn(img)["/cnb/buildpacks/acme_shared/1/lib/data"]
			Expect(got.TarEntry).To(Equal(want), "%s", mode)
			Expect(got.below).To(BeEmpty(), "%s", mode)
			Expect(b.Log.Warnings).To(ConsistOf(
				"conflicting contents of buildpack acme/shared@1 in left.cnb and in right.cnb; using " + used + " (--on-conflict " + string(on) + ")"))
			// The label names the layer that has it, and only that one has it.
			diffID := layersLabelOf(img, flatten.Buildpack)["acme/shared"]["1"].LayerDiffID
			for _, l := range layersOf(img) {
				d, err := l.DiffID()
				Expect(err).NotTo(HaveOccurred())
				Expect(strings.Contains(goldens(l), "/cnb/buildpacks/acme_shared/1/lib/data")).To(Equal(d.String() == diffID), "%s", mode)
			}
		}
	},
		Entry("the first", engine.UseFirst, "left.cnb"),
		Entry("the last", engine.UseLast, "right.cnb"),
	)

	It("reuse a source's layer by digest under every plan that wants just its refs", func() {
		b.pack("exploded.cnb", flatten.None, "acme_left@1", "acme_a@1", "acme_b@1", "acme_shared@1")
		file := b.toml(buildpacks("exploded.cnb"), order("acme/left@1"))
		for _, c := range []change{flat(flatten.None), flat(flatten.AsPackaged), exclude("acme/*")} {
			b.Log.Notes = nil
			b.build(file, c)
			reused := slices.Sorted(slices.Values(b.Log.Reused()))
			Expect(reused).To(Equal([]string{"acme/a@1", "acme/b@1", "acme/left@1", "acme/shared@1"}))
		}
	})
})

func blobOf(b *bench, cnb string) string {
	GinkgoHelper()
	img := b.build(b.toml(buildpacks(cnb), order("acme/left@1")), flat(flatten.All)).Image
	return blobsOf(img)[2]
}

var _ = Describe("refs that were asked for", func() {
	DescribeTable("are errors where they mean nothing", func(c change, want string) {
		b := newBench()
		b.Component("acme/node@1.0.0")
		b.Component("acme/npm@2.0.0")
		Expect(b.fails(b.toml(buildpacks("acme_node@1.0.0", "acme_npm@2.0.0"), order("acme/node", "acme/npm")), c)).To(MatchError(want))
	},
		Entry("in a group", group("acme/nod", "acme/npm"), `unknown buildpack "acme/nod"; did you mean acme/node@1.0.0 or acme/npm@2.0.0?`),
		Entry("in an exclusion", exclude("zzz"), `unknown buildpack "zzz"; name one of acme/node@1.0.0, acme/npm@2.0.0`),
		Entry("in two groups at once", func() change {
			return func(o *builder.Options) { group("acme/npm")(o); group("acme/npm", "acme/node")(o) }
		}(), "conflicting layers for buildpack acme/npm@2.0.0: group 1 and group 2"),
	)
})
