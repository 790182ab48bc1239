package flatten_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

// owners writes owner sets as text.
func owners(e flatten.Expansion) map[string][]string {
	all := map[string][]string{}
	for ref, of := range e.Owners {
		for _, o := range of {
			all[ref.String()] = append(all[ref.String()], o.String())
		}
	}
	return all
}

var _ = Describe("expanding", func() {
	type want struct {
		refs, top []flatten.Ref
		owners    map[string][]string
	}
	DescribeTable("walks an order down", func(ms flatten.Modules, w want) {
		e, problems := ms.Expand(r("root@1"))
		Expect(problems).To(BeEmpty())
		Expect(e.Root).To(Equal(r("root@1")))
		Expect(e.Refs).To(Equal(w.refs))
		Expect(e.TopLevel).To(Equal(w.top))
		Expect(owners(e)).To(Equal(w.owners))
	},
		Entry("to components", modules(composite("root@1", group("b@1", "a@1")), component("a@1"), component("b@1"), component("unused@1")), want{
			rs("root@1", "b@1", "a@1"), rs("b@1", "a@1"), map[string][]string{"a@1": {"a@1"}, "b@1": {"b@1"}},
		}),
		Entry("of a component, which has none", modules(component("root@1")), want{rs("root@1"), nil, map[string][]string{}}),
		Entry("through nested composites, depth first", modules(
			composite("root@1", group("outer@1"), group("z@1")), composite("outer@1", group("inner@1", "c@1")), composite("inner@1", group("a@1"), group("b@1")),
			component("a@1"), component("b@1"), component("c@1"), component("z@1")), want{
			rs("root@1", "outer@1", "inner@1", "a@1", "b@1", "c@1", "z@1"), rs("outer@1", "z@1"),
			map[string][]string{"outer@1": {"outer@1"}, "inner@1": {"outer@1"}, "a@1": {"outer@1"}, "b@1": {"outer@1"}, "c@1": {"outer@1"}, "z@1": {"z@1"}},
		}),
		Entry("to each once, in several groups too", modules(composite("root@1", group("a@1", "b@1"), group("b@1", "a@1")), component("a@1"), component("b@1")), want{
			rs("root@1", "a@1", "b@1"), rs("a@1", "b@1"), map[string][]string{"a@1": {"a@1"}, "b@1": {"b@1"}},
		}),
		Entry("to what several composites share", modules(
			composite("root@1", group("x@1", "y@1")), composite("x@1", group("own@1", "both@1")), composite("y@1", group("both@1", "other@1")),
			component("own@1"), component("both@1"), component("other@1")), want{
			rs("root@1", "x@1", "own@1", "both@1", "y@1", "other@1"), rs("x@1", "y@1"),
			map[string][]string{"x@1": {"x@1"}, "y@1": {"y@1"}, "own@1": {"x@1"}, "both@1": {"x@1", "y@1"}, "other@1": {"y@1"}},
		}),
		Entry("around a diamond", modules(
			composite("root@1", group("top@1")), composite("top@1", group("left@1", "right@1")), composite("left@1", group("leaf@1")),
			composite("right@1", group("leaf@1")), component("leaf@1")), want{
			rs("root@1", "top@1", "left@1", "leaf@1", "right@1"), rs("top@1"),
			map[string][]string{"top@1": {"top@1"}, "left@1": {"top@1"}, "right@1": {"top@1"}, "leaf@1": {"top@1"}},
		}),
		Entry("to a top-level component that a composite has too: it is its own", modules(
			composite("root@1", group("x@1", "a@1")), composite("x@1", group("a@1", "b@1")), component("a@1"), component("b@1")), want{
			rs("root@1", "x@1", "a@1", "b@1"), rs("x@1", "a@1"), map[string][]string{"x@1": {"x@1"}, "a@1": {"a@1"}, "b@1": {"x@1"}},
		}),
		Entry("to a top-level composite inside of another", modules(
			composite("root@1", group("x@1", "y@1")), composite("x@1", group("y@1")), composite("y@1", group("a@1")), component("a@1")), want{
			rs("root@1", "x@1", "y@1", "a@1"), rs("x@1", "y@1"), map[string][]string{"x@1": {"x@1"}, "y@1": {"x@1", "y@1"}, "a@1": {"x@1", "y@1"}},
		}),
		Entry("to several versions", modules(composite("root@1", group("a@2", "a@1")), component("a@1"), component("a@2")), want{
			rs("root@1", "a@2", "a@1"), rs("a@2", "a@1"), map[string][]string{"a@1": {"a@1"}, "a@2": {"a@2"}},
		}),
	)

	DescribeTable("reports what is wrong with an order", func(ms flatten.Modules, want ...flatten.Problem) {
		_, problems := ms.Expand(r("root@1"))
		Expect(problems).To(Equal(want))
	},
		Entry("an absent buildpack", modules(composite("root@1", group("a@1", "b@1")), component("a@1")),
			flatten.Problem{In: r("root@1"), Entry: 1, Message: "missing buildpack b@1; no source provides it"}),
		Entry("an absent version", modules(composite("root@1", group("a@3")), component("a@2"), component("a@1")),
			flatten.Problem{In: r("root@1"), Entry: 0, Message: "missing buildpack a@3; found only 1, 2"}),
		Entry("an absent one without a version", modules(composite("root@1", group("a"))),
			flatten.Problem{In: r("root@1"), Entry: 0, Message: "missing buildpack a; no source provides it"}),
		Entry("an absent one that two composites name, each", modules(composite("root@1", group("x@1"), group("y@1")), composite("x@1", group("a@1")), composite("y@1", group("a@1"))),
			flatten.Problem{In: r("x@1"), Entry: 0, Message: "missing buildpack a@1; no source provides it"},
			flatten.Problem{In: r("y@1"), Entry: 0, Message: "missing buildpack a@1; no source provides it"}),
		Entry("an entry without a version", modules(composite("root@1", group("b@1"), group("b@1", "a")), component("a@1"), component("b@1")),
			flatten.Problem{In: r("root@1"), Entry: 2, Message: "entry a has no version; using a@1, but the lifecycle does not resolve such an entry", Warning: true}),
		Entry("an entry without a version where there are several", modules(composite("root@1", group("a")), component("a@10"), component("a@9")),
			flatten.Problem{In: r("root@1"), Entry: 0, Message: "buildpack a is ambiguous: found 10, 9; name one"}),
		Entry("a root that names itself", modules(composite("root@1", group("a@1", "root@1")), component("a@1")),
			flatten.Problem{In: r("root@1"), Entry: 1, Message: "cycle in order: root@1 -> root@1"}),
		Entry("a composite that names itself", modules(composite("root@1", group("x@1")), composite("x@1", group("a@1"), group("x@1")), component("a@1")),
			flatten.Problem{In: r("x@1"), Entry: 1, Message: "cycle in order: x@1 -> x@1"}),
		Entry("a circle of two", modules(composite("root@1", group("x@1")), composite("x@1", group("y@1")), composite("y@1", group("x@1"))),
			flatten.Problem{In: r("y@1"), Entry: 0, Message: "cycle in order: x@1 -> y@1 -> x@1"}),
		Entry("a circle of three, without versions", modules(composite("root@1", group("x@1")), composite("x@1", group("y@1")), composite("y@1", group("z@1")), composite("z@1", group("x"))),
			flatten.Problem{In: r("z@1"), Entry: 0, Message: "entry x has no version; using x@1, but the lifecycle does not resolve such an entry", Warning: true},
			flatten.Problem{In: r("z@1"), Entry: 0, Message: "cycle in order: x@1 -> y@1 -> z@1 -> x@1"}),
		Entry("a circle through the root", modules(composite("root@1", group("x@1")), composite("x@1", group("root@1"))),
			flatten.Problem{In: r("x@1"), Entry: 0, Message: "cycle in order: root@1 -> x@1 -> root@1"}),
		Entry("everything at once", modules(composite("root@1", group("x@1", "gone@1")), composite("x@1", group("gone@2"), group("x@1"))),
			flatten.Problem{In: r("root@1"), Entry: 1, Message: "missing buildpack gone@1; no source provides it"},
			flatten.Problem{In: r("x@1"), Entry: 0, Message: "missing buildpack gone@2; no source provides it"},
			flatten.Problem{In: r("x@1"), Entry: 1, Message: "cycle in order: x@1 -> x@1"}),
	)

	It("leaves an empty entry to the reader of the descriptor", func() {
		_, problems := modules(composite("root@1", []flatten.Entry{{}})).Expand(r("root@1"))
		Expect(problems).To(BeEmpty())
	})

	It("walks down from several, as a builder has them", func() {
		ms := modules(composite("x@1", group("a@1", "b@1")), component("a@1"), component("b@1"), component("c@1"))
		e, problems := ms.ExpandAll(rs("c@1", "x@1", "b@1", "c@1"))
		Expect(problems).To(BeEmpty())
		Expect(e.Root).To(BeZero())
		Expect(e.Refs).To(Equal(rs("c@1", "x@1", "a@1", "b@1")))
		Expect(e.TopLevel).To(Equal(rs("c@1", "x@1", "b@1")))
		Expect(owners(e)).To(Equal(map[string][]string{"c@1": {"c@1"}, "x@1": {"x@1"}, "a@1": {"x@1"}, "b@1": {"b@1"}}))
	})

	It("finds every version that an entry may mean, sorted", func() {
		ms := modules(component("a@2"), component("a@1"), component("b@1"))
		Expect(ms.Finder().Find(flatten.Entry{ID: "a"})).To(Equal(rs("a@1", "a@2")))
		Expect(ms.Finder().Find(flatten.Entry{ID: "a", Version: "2"})).To(Equal(rs("a@2")))
		Expect(ms.Finder().Find(flatten.Entry{ID: "a", Version: "3"})).To(BeEmpty())
	})

	It("takes an order of very many problems in linear time", func(ctx SpecContext) {
		m := composite("root@1")
		for i := range 100_000 {
			m.Order = append(m.Order, flatten.Group{Entries: group(fmt.Sprintf("gone%d@1", i))})
		}
		_, problems := modules(m).Expand(r("root@1"))
		Expect(problems).To(HaveLen(100_000))
	}, NodeTimeout(20*time.Second))
})
