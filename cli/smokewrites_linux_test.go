package cli_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("builder smoke --layer-writes, with a buildpack that ignores a refusal", Ordered, func() {
	var l smokeLab
	BeforeAll(func() { l = newSmokeLab() })
	write := "BP_SECOND=echo x >$layers/smoke_first/data/new || true"

	It("fail fails the app", func() {
		r := laminateWith(l.vars(), l.args([]string{"turns"}, "--env", write, "--layer-writes", "fail")...)
		Expect(r.code).To(Equal(1))
		Expect(r.stdout).To(ContainSubstring("\n   smoke/second added /layers/smoke_first/data/new, in layer \"data\" of smoke/first\n"))
		Expect(r.stdout).NotTo(ContainSubstring("warning:"))
	})

	It("refuse passes, and says that it did not look", func() {
		r := laminateWith(l.vars(), l.args([]string{"turns"}, "--env", write, "--layer-writes", "refuse")...)
		Expect(r.code).To(BeZero(), r.stdout)
		Expect(r.stdout).To(ContainSubstring("\n   warning: writes into the layers of other buildpacks that were refused are not known: a buildpack that ignores the refusal goes on; --layer-writes fail finds them\n"))
	})
})
