package flatten_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

var _ = Describe("common stacks", func() {
	stack := func(id string, mixins ...string) flatten.Stack { return flatten.Stack{ID: id, Mixins: mixins} }
	stacks := func(s ...flatten.Stack) []flatten.Stack { return s }
	with := func(s []flatten.Stack) flatten.Module { return flatten.Module{Stacks: s} }

	// The first seven are the examples that pack documents for the same rule.
	DescribeTable("are those that two components support, with the mixins of both", func(a, b, want []flatten.Stack) {
		Expect(flatten.CommonStacks([]flatten.Module{with(a), with(b)})).To(Equal(want))
	},
		Entry("more mixins in one", stacks(stack("stack1", "build:mixinA", "mixinB", "run:mixinC")), stacks(stack("stack1", "build:mixinA", "run:mixinC")),
			stacks(stack("stack1", "build:mixinA", "mixinB", "run:mixinC"))),
		Entry("different mixins", stacks(stack("stack1", "build:mixinA"), stack("stack2", "mixinA")), stacks(stack("stack1", "run:mixinC"), stack("stack2", "mixinA")),
			stacks(stack("stack1", "build:mixinA", "run:mixinC"), stack("stack2", "mixinA"))),
		Entry("one stack in common", stacks(stack("stack1", "build:mixinA"), stack("stack2", "mixinA")), stacks(stack("stack2", "mixinA", "run:mixinB")),
			stacks(stack("stack2", "mixinA", "run:mixinB"))),
		Entry("none in common", stacks(stack("stack1", "build:mixinA")), stacks(stack("stack2", "mixinA", "run:mixinB")), nil),
		Entry("any stack in the first", stacks(stack("*"), stack("stack1", "build:mixinC")), stacks(stack("stack1", "build:mixinA"), stack("stack2", "mixinA", "run:mixinB")),
			stacks(stack("stack1", "build:mixinA"), stack("stack2", "mixinA", "run:mixinB"))),
		Entry("any stack in the second", stacks(stack("stack1", "build:mixinA"), stack("stack2", "mixinA", "run:mixinB")), stacks(stack("*"), stack("stack1", "build:mixinC")),
			stacks(stack("stack1", "build:mixinA"), stack("stack2", "mixinA", "run:mixinB"))),
		Entry("any stack in both", stacks(stack("*"), stack("stack1", "build:mixinA"), stack("stack2", "mixinA", "run:mixinB")), stacks(stack("*"), stack("stack1", "build:mixinC")),
			stacks(stack("*"))),
		Entry("no stacks named, which is any", nil, stacks(stack("stack1", "mixinA")), stacks(stack("stack1", "mixinA"))),
		Entry("no stacks named in both", nil, nil, stacks(stack("*"))),
		Entry("mixins unsorted", stacks(stack("stack1", "z", "b")), stacks(stack("stack1", "b", "a")), stacks(stack("stack1", "a", "b", "z"))),
		Entry("no mixins", stacks(stack("stack1")), stacks(stack("stack1")), stacks(stack("stack1"))),
	)

	It("are any for a single component that names none", func() {
		Expect(flatten.CommonStacks([]flatten.Module{{}})).To(Equal(stacks(stack("*"))))
	})

	It("stay none once there are none", func() {
		Expect(flatten.CommonStacks([]flatten.Module{with(stacks(stack("a"))), with(stacks(stack("b"))), with(nil), with(stacks(stack("*"))), with(stacks(stack("a")))})).To(BeEmpty())
	})

	It("are not a composite's to say, wherever it stands", func() {
		root := composite("root@1", group("a@1"))
		a, b := component("a@1"), component("b@1")
		a.Stacks, b.Stacks = stacks(stack("s", "x"), stack("t")), stacks(stack("s", "y"))
		want := stacks(stack("s", "x", "y"))
		Expect(flatten.CommonStacks([]flatten.Module{root, a, b})).To(Equal(want))
		Expect(flatten.CommonStacks([]flatten.Module{a, root, b})).To(Equal(want))
		Expect(flatten.CommonStacks([]flatten.Module{root})).To(BeEmpty())
		Expect(a.Stacks).To(Equal(stacks(stack("s", "x"), stack("t"))), "the modules stay as they are")
	})
})
