package builder_test

import (
	"errors"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder"
	"laminate/flatten"
)

var _ = Describe("the budget", func() {
	It("is what Docker loads, less what a platform stacks on it", func() {
		Expect(flatten.Budget(false)).To(Equal(119))
		Expect(flatten.Budget(true)).To(Equal(118))
	})

	// A base of n layers and one buildpack make n + 3.
	DescribeTable("may be used up, and no more", func(system string, base int, fits bool) {
		b := newBench()
		b.Component("acme/a@1")
		b.keepImage("base", baseImage{layers: base - 1}.image())
		jobs, err := b.prepare(b.toml(buildpacks("acme_a@1"), order("acme/a@1"), system))
		if fits {
			Expect(err).NotTo(HaveOccurred())
			Expect(jobs[0].Layers.Total()).To(Equal(jobs[0].Layers.Budget))
		} else {
			Expect(errors.As(err, new(*builder.OverBudgetError))).To(BeTrue())
			Expect(jobs).To(BeNil())
		}
	},
		Entry("119 layers", "", 116, true),
		Entry("120 layers", "", 117, false),
		Entry("118 layers with system buildpacks", "[[system.pre.buildpacks]]\nid = 'acme/a'\n", 115, true),
		Entry("119 layers with system buildpacks", "[[system.pre.buildpacks]]\nid = 'acme/a'\n", 116, false),
	)

	It("is never more than Docker's engine loads, whatever is wished", func() {
		b := newBench()
		b.Component("acme/a@1")
		for base, fits := range map[int]bool{122: true, 123: false} {
			b.keepImage("base", baseImage{layers: base - 1}.image())
			_, err := b.prepare(b.toml(buildpacks("acme_a@1"), order("acme/a@1")), atMost(1000))
			if fits {
				Expect(err).NotTo(HaveOccurred())
			} else {
				Expect(err).To(MatchError("too many layers: 126, the limit is 125"))
			}
		}
	})

	Describe("that is another one", func() {
		var b *bench
		var file string
		BeforeEach(func() {
			b = newBench()
			for _, c := range []string{"left", "right"} {
				var order, packed []string
				for n := range 3 {
					ref := fmt.Sprintf("acme/%s-%d@1", c, n)
					packed = append(packed, b.Component(ref))
					order = append(order, ref)
				}
				packed = append(packed, b.Component("acme/shared@1"))
				b.pack(c+".cnb", flatten.None, b.Composite("acme/"+c+"@1", append(order, "acme/shared@1")...), packed...)
			}
			b.Component("acme/alone@1")
			b.Extension("acme/ext@1")
			file = b.toml(buildpacks("left.cnb", "right.cnb", "acme_alone@1"), extensions("acme_ext@1"), order("acme/left@1", "acme/right@1", "acme/alone@1"))
		})
		over := func(changes ...change) *builder.OverBudgetError {
			GinkgoHelper()
			err := b.fails(file, changes...)
			var over *builder.OverBudgetError
			Expect(errors.As(err, &over)).To(BeTrue(), "%v", err)
			return over
		}

		It("is exceeded with the count by origin, and the mode that would fit, with its number", func() {
			e := over(atMost(12))
			Expect(e.Layers).To(Equal(builder.Count{Base: 1, Lifecycle: 1, Configuration: 1, Budget: 12, Modules: []builder.Origin{
				{Name: "composite acme/left@1", Layers: 4}, {Name: "shared by several composites", Layers: 1},
				{Name: "composite acme/right@1", Layers: 4}, {Name: "top-level components", Layers: 1}, {Name: "extensions", Layers: 1},
			}}))
			Expect(e).To(MatchError("too many layers: 14, the limit is 12"))
			Expect(e.Fits).To(Equal(flatten.Composites))
			img := b.build(file, atMost(12), flat(e.Fits))
			Expect(layersOf(img.Image)).To(HaveLen(e.Least))
		})

		It("may leave nothing but one layer for all", func() {
			e := over(atMost(7))
			Expect(e.Fits).To(Equal(flatten.All))
			Expect(layersOf(b.build(file, atMost(7), flat(e.Fits)).Image)).To(HaveLen(e.Least))
		})

		It("may be out of reach", func() {
			e := over(atMost(4))
			Expect(e.Fits).To(BeEmpty())
			Expect(e.Least).To(Equal(5))
		})

		It("counts groups and exclusions by their reason, and keeps them in what would fit", func() {
			e := over(atMost(7), group("acme/left-1@1", "acme/alone@1"))
			Expect(e.Layers.Modules).To(ContainElement(builder.Origin{Name: "group 1", Layers: 1}))
			Expect(e.Fits).To(Equal(flatten.All))
			Expect(layersOf(b.build(file, atMost(7), group("acme/left-1@1", "acme/alone@1"), flat(flatten.All)).Image)).To(HaveLen(e.Least))
		})

		It("counts what hides the build image's buildpacks", func() {
			b.keepImage("base", b.build(b.toml(buildpacks("acme_alone@1"), order("acme/alone@1"))).Image)
			b.Write("acme_alone@1/lib/data", "new")
			file = b.At("builder.toml")
			Expect(over(atMost(7)).Layers).To(Equal(builder.Count{Base: 4, Lifecycle: 1, Configuration: 1, Whiteouts: 1, Budget: 7, Modules: []builder.Origin{{Name: "top-level components", Layers: 1}}}))
		})
	})
})
