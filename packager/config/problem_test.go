package config

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Problems", func() {
	warning := Problem{File: "b", Line: 3, Message: "hm", Warning: true}

	It("are no error where all are warnings", func() {
		Expect(Problems{warning}.Err()).To(Succeed())
		Expect(Problems{warning}.Warnings()).To(Equal([]Problem{warning}))
		Expect(Problems(nil).Err()).To(Succeed())
	})

	It("are the first 100 warnings, and a count", func() {
		var ps Problems
		for i := range 160_000 {
			ps = append(ps, Problem{File: "a", Line: i, Message: "hm", Warning: true})
		}
		Expect(ps[:100].Warnings()).To(Equal([]Problem(ps[:100])))
		Expect(ps[:101].Warnings()).To(Equal(append([]Problem(ps[:100:100]), Problem{Message: "and 1 more warning", Warning: true})))
		Expect(ps.Warnings()).To(Equal(append([]Problem(ps[:100:100]), Problem{Message: "and 159900 more warnings", Warning: true})))
	})

	It("are an error with a line for each", func() {
		ps := Problems{{File: "a", Message: "x"}, warning, {File: "b", Line: 4, Message: "y"}}
		Expect(ps.Err()).To(MatchError("a: x\nb:4: y"))
		Expect(ps.Err().(interface{ Unwrap() []error }).Unwrap()).To(Equal([]error{ps[0], ps[2]}), "which are the problems themselves")
		Expect(ps.Warnings()).To(Equal([]Problem{warning}))
		Expect(ps).To(HaveLen(3), "asking changes nothing")
	})
})
