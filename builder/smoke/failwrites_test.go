package smoke_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke"
)

var _ = Describe("An app whose buildpack minds no refusal", Ordered, func() {
	var l *lab
	BeforeAll(func() { l = newLab() })
	const script = "echo x >$layers/smoke_first/data/new || true; echo y >$layers/smoke_first/data/d/1 || true"

	It("fails for each write that is found", func(ctx SpecContext) {
		result, built := l.turns(ctx, smoke.FailOnWrites, "", script)
		Expect(result.Status).To(Equal(smoke.Failed))
		Expect(messages(result)).To(ConsistOf(
			`smoke/second added /layers/smoke_first/data/new, in layer "data" of smoke/first`,
			`smoke/second changed /layers/smoke_first/data/d/1, in layer "data" of smoke/first`,
		))
		Expect(result.Warnings).To(BeEmpty())
		Expect(built.App).NotTo(BeNil(), "the build itself goes on")
	})

	It("passes where they are refused, and where there are none", func(ctx SpecContext) {
		refused, _ := l.turns(ctx, smoke.RefuseWrites, "", script)
		Expect(refused.Status).To(Equal(smoke.Passed), "%+v", refused)
		Expect(logOfPhase(refused, "build")).To(ContainSubstring("Read-only file system"))
		Expect(refused.Warnings).To(HaveExactElements(HavePrefix("writes into the layers of other buildpacks that were refused are not known")))
		none, _ := l.turns(ctx, smoke.FailOnWrites, "", "echo x >$layer/new")
		Expect(none.Status).To(Equal(smoke.Passed), "%+v", none)
	})
})
