package smoke_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke"
	"laminate/fixtures/workbench"
)

var _ = Describe("a build with a previous image", Ordered, func() {
	var l *lab
	BeforeAll(func() { l = newLab() })

	It("reuses a layer that bin/build does not make again, and is the same image", func(ctx SpecContext) {
		first, one := l.test(ctx, "reuses")
		Expect(first.Status).To(Equal(smoke.Passed), "%+v", first)
		second, two := l.testWith(ctx, "reuses", smoke.App{Previous: one.App})
		Expect(second.Status).To(Equal(smoke.Passed), "%+v", second)
		Expect(logOfPhase(first, "build")).To(ContainSubstring("Adding layer 'smoke/reuses:data'"))
		Expect(logOfPhase(second, "build")).To(And(ContainSubstring("data is in the previous image"), ContainSubstring("Reusing layer 'smoke/reuses:data'")))
		Expect(second.Image).To(Equal(first.Image))
		Expect(workbench.ReadThrough(two.App)).To(Succeed())
	})

	It("takes the layers that differ from the build", func(ctx SpecContext) {
		_, one := l.test(ctx, "changes")
		_, two := l.testWith(ctx, "changes", smoke.App{Previous: one.App})
		Expect(workbench.ReadThrough(two.App)).To(Succeed())
		Expect(workbench.DigestOf(two.App)).NotTo(Equal(workbench.DigestOf(one.App)))
	})

	It("needs an app image", func(ctx SpecContext) {
		result, _ := l.testWith(ctx, "hello", smoke.App{Previous: l.run})
		Expect(result.Status).To(Equal(smoke.Broken))
		Expect(result.Error).To(ContainSubstring("not an app image: it has no label io.buildpacks.lifecycle.metadata"))
	})
})
