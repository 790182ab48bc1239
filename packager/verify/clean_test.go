package verify_test

import (
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder"
	"laminate/fixtures/workbench"
	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/engine"
)

const twoOrders = `[[buildpacks]]
uri = "acme_root@1"
[[buildpacks]]
uri = "acme_a@1"
[[buildpacks]]
uri = "acme_b@1"
[[buildpacks]]
uri = "acme_b@2"
[[order]]
[[order.group]]
id = "acme/root"
[[order]]
[[order.group]]
id = "acme/b"
version = "2"
optional = true
`

const system = `[[system.pre.buildpacks]]
id = "acme/a"
`

const withExtension = `[[extensions]]
uri = "acme_e@1"
[[order-extensions]]
[[order-extensions.group]]
id = "acme/e"
`

var _ = Describe("an image that laminate makes is clean", func() {
	var b *bench
	BeforeEach(func() {
		b = newBench()
		b.Extension("acme/e@1")
	})
	clean := func(name string) {
		GinkgoHelper()
		r := b.report(name)
		Expect(findings(r)).To(BeEmpty())
		Expect(r.OK).To(BeTrue())
		Expect(r.Layers).NotTo(BeZero())
		Expect(r.Bytes).To(BeNumerically(">", r.CompressedBytes))
	}

	DescribeTable("a buildpackage", func(o engine.Options) {
		clean(b.pack("p", o, "acme_root@1", "acme_a@1", "acme_b@1"))
	},
		Entry("exploded", engine.Options{}),
		Entry("flattened by composites", engine.Options{Grouping: flatten.Grouping{Mode: flatten.Composites}}),
		Entry("flattened whole", engine.Options{Grouping: flatten.Grouping{Mode: flatten.All}}),
		Entry("in zstd", engine.Options{Grouping: flatten.Grouping{Mode: flatten.All}, Compression: layer.Zstd}),
	)

	It("one whose layer has two versions of an id", func() {
		b.Composite("acme/two@1", "acme/b@1", "acme/b@2")
		clean(b.pack("p", engine.Options{Grouping: flatten.Grouping{Mode: flatten.All}}, "acme_two@1", "acme_b@1", "acme_b@2"))
	})

	DescribeTable("a builder", func(change func(*builder.Options), sections ...string) {
		clean(b.build("b", change, sections...))
	},
		Entry("exploded", nil, twoOrders),
		Entry("flattened by composites", mode(flatten.Composites), twoOrders),
		Entry("flattened whole", mode(flatten.All), twoOrders),
		Entry("with system buildpacks and an extension", mode(flatten.All), twoOrders, system, withExtension),
		Entry("in zstd", func(o *builder.Options) { o.Compression = layer.Zstd }, twoOrders),
		Entry("without buildpacks", nil, ""),
	)

	It("a builder over a builder, with a whiteout of a buildpack that is replaced", func() {
		b.build("below", mode(flatten.All), twoOrders)
		b.Write("acme_a@1/lib/data", "other")
		clean(b.build("b", nil, "[build]\nimage = \"oci:below\"\n[[buildpacks]]\nuri = \"acme_a@1\"\n[[order]]\n[[order.group]]\nid = \"acme/root\"\n"))
	})

	It("an image of another kind, whatever is in its layers", func() {
		clean(b.keep("base", base(layerOf(directory("cnb"), directory("cnb/buildpacks"), file("cnb/buildpacks/x/1/f", "")))))
	})

	It("one whose layers are as packaged holds some buildpacks twice, which is a note", func() {
		b.Composite("acme/other@1", "acme/a@1")
		b.Composite("acme/top@1", "acme/root@1", "acme/other@1")
		all := engine.Options{Grouping: flatten.Grouping{Mode: flatten.All}}
		one := b.pack("one", all, "acme_root@1", "acme_a@1", "acme_b@1")
		two := b.pack("two", all, "acme_other@1", "acme_a@1")
		r := b.report(b.pack("p", engine.Options{Grouping: flatten.Grouping{Mode: flatten.AsPackaged}}, "acme_top@1", one, two))
		Expect(r.OK).To(BeTrue())
		Expect(findings(r)).To(ConsistOf(MatchRegexp(`^note two-layers 2 acme/a@1: /cnb/buildpacks/acme_a/1 is in this layer and in layer 1, which the label names, with the same content: \d+ bytes too many$`)))
		// One that the image does not use is in laminate's label only.
		r = b.report(b.pack("q", engine.Options{Grouping: flatten.Grouping{Mode: flatten.AsPackaged}}, "acme_other@1", one))
		Expect(r.OK).To(BeTrue())
		Expect(findings(r)).To(ConsistOf(HavePrefix("note unlabelled-directory 1 acme/b@1: unused: it is in the layer ("), HavePrefix("note unlabelled-directory 1 acme/root@1: unused")))
	})

	It("counts what is in it", func() {
		r := b.report(b.build("b", nil, twoOrders, withExtension))
		Expect(r.Kind).To(Equal("builder"))
		Expect(r.Target).To(Equal("linux/amd64"))
		Expect(r.Buildpacks).To(Equal(4))
		Expect(r.Extensions).To(Equal(1))
		Expect(r.Layers).To(Equal(1 + 1 + 5 + 1))
		Expect(r.Digest).To(Equal(workbench.DigestOf(b.open("oci:b"))))
		Expect(r.ConfigBytes).To(BeNumerically(">", r.LabelBytes))
		Expect(slices.Contains(findings(r), "")).To(BeFalse())
	})
})

func mode(m flatten.Mode) func(*builder.Options) {
	return func(o *builder.Options) { o.Grouping.Mode = m }
}
