package engine_test

import (
	"errors"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/engine"
)

var _ = Describe("ForEach", func() {
	amd, arm := flatten.Target{OS: "linux", Arch: "amd64"}, flatten.Target{OS: "linux", Arch: "arm64"}
	one, two, three := errors.New("one"), errors.New("two"), errors.New("three")

	DescribeTable("says once what is wrong with all, and else with whom", func(want string, errs ...error) {
		next := 0
		_, err := engine.ForEach([]flatten.Target{amd, arm}[:len(errs)], func(flatten.Target) (int, error) {
			next++
			return next, errs[next-1]
		})
		if want == "" {
			Expect(err).NotTo(HaveOccurred())
			return
		}
		Expect(err).To(MatchError(want))
		Expect(errors.Is(err, one)).To(BeTrue()) // callers can still branch on it
	},
		Entry("nothing", "", nil, nil),
		Entry("one target", "one", one),
		Entry("both alike", "one", one, one),
		Entry("one of two", "target linux/arm64: one", nil, one),
		Entry("both, with more", "one\ntarget linux/amd64: two\ntarget linux/arm64: three", errors.Join(one, two), errors.Join(one, three)),
		Entry("joined in joined", "target linux/amd64: two\none\ntarget linux/amd64: three", errors.Join(two, errors.Join(one, three)), one),
		Entry("the same twice", "target linux/amd64: one", errors.Join(one, one), nil),
		Entry("what has words of its own stays in one piece", "words: one\ntwo", fmt.Errorf("words: %w", errors.Join(one, two)), fmt.Errorf("words: %w", errors.Join(one, two))),
	)
})

var _ = Describe("WithPlace", func() {
	It("returns each of the joined errors file, line and a prefix", func() {
		one, two := errors.New("one"), errors.New("two")
		place := config.Problem{File: "package.toml", Line: 3, Message: "at: "}
		err := engine.WithPlace(place, errors.Join(one, errors.Join(two)))
		Expect(err).To(MatchError("package.toml:3: at: one\npackage.toml:3: at: two"))
		Expect(errors.Is(err, two)).To(BeTrue())
		var problem config.Problem
		Expect(errors.As(err, &problem)).To(BeTrue())
		Expect(problem).To(Equal(config.Problem{File: "package.toml", Line: 3, Message: "at: one", Cause: one}))
		Expect(engine.WithPlace(place, nil)).To(Succeed())
	})
})
