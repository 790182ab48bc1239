package flatten_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

// written writes a plan as text, a line for each layer.
func written(p flatten.LayerPlan) []string {
	var lines []string
	for _, l := range p {
		var names []string
		for _, ref := range l.Refs {
			names = append(names, ref.String())
		}
		lines = append(lines, strings.Join(names, " ")+" ("+l.Reason+")")
	}
	return lines
}

var _ = Describe("planning", func() {
	// Two composites that share a child, one of them with a composite of its
	// own, and a component.
	ms := modules(
		composite("root@1", group("x@1", "y@1"), group("c@1")),
		composite("x@1", group("inner@1", "both@1")), composite("inner@1", group("a@1")),
		composite("y@1", group("both@1", "b@1")),
		component("a@1"), component("b@1"), component("both@1"), component("c@1"),
	)
	e, _ := ms.Expand(r("root@1"))

	DescribeTable("puts refs into layers", func(w flatten.Grouping, want ...string) {
		plan, err := flatten.Plan(e, ms, w, flatten.Existing{})
		Expect(err).NotTo(HaveOccurred())
		Expect(written(plan)).To(Equal(want))
	},
		Entry("one each, by default", flatten.Grouping{},
			"x@1 (alone)", "inner@1 (alone)", "a@1 (alone)", "both@1 (alone)", "y@1 (alone)", "b@1 (alone)", "c@1 (alone)", "root@1 (alone)"),
		Entry("one each", flatten.Grouping{Mode: flatten.None, Exclude: []string{"b"}},
			"x@1 (alone)", "inner@1 (alone)", "a@1 (alone)", "both@1 (alone)", "y@1 (alone)", "b@1 (excluded)", "c@1 (alone)", "root@1 (alone)"),
		Entry("one for each owner set", flatten.Grouping{Mode: flatten.Composites},
			"x@1 inner@1 a@1 (composite x@1)", "both@1 (shared by x@1, y@1)", "y@1 b@1 (composite y@1)", "c@1 (top-level component)", "root@1 (root)"),
		Entry("one for all", flatten.Grouping{Mode: flatten.All}, "root@1 x@1 inner@1 a@1 both@1 y@1 b@1 c@1 (all in one layer)"),
		Entry("groups", flatten.Grouping{Groups: [][]string{{"c", "a@1"}, {"both", "y@1"}}},
			"x@1 (alone)", "inner@1 (alone)", "a@1 c@1 (group 1)", "both@1 y@1 (group 2)", "b@1 (alone)", "root@1 (alone)"),
		Entry("a group and owner sets", flatten.Grouping{Mode: flatten.Composites, Groups: [][]string{{"both", "b"}}},
			"x@1 inner@1 a@1 (composite x@1)", "both@1 b@1 (group 1)", "y@1 (composite y@1)", "c@1 (top-level component)", "root@1 (root)"),
		Entry("a group with the root, which goes on top", flatten.Grouping{Groups: [][]string{{"root", "inner"}}},
			"x@1 (alone)", "a@1 (alone)", "both@1 (alone)", "y@1 (alone)", "b@1 (alone)", "c@1 (alone)", "root@1 inner@1 (group 1)"),
		Entry("excluded ones apart, each by itself", flatten.Grouping{Mode: flatten.All, Exclude: []string{"?@*"}},
			"x@1 (excluded)", "a@1 (excluded)", "y@1 (excluded)", "b@1 (excluded)", "c@1 (excluded)", "root@1 inner@1 both@1 (all in one layer)"),
		Entry("one that is excluded twice", flatten.Grouping{Mode: flatten.Composites, Exclude: []string{"a", "a@1"}},
			"x@1 inner@1 (composite x@1)", "a@1 (excluded)", "both@1 (shared by x@1, y@1)", "y@1 b@1 (composite y@1)", "c@1 (top-level component)", "root@1 (root)"),
		Entry("one that a group names twice", flatten.Grouping{Mode: flatten.All, Groups: [][]string{{"a", "a@1", "b"}}},
			"a@1 b@1 (group 1)", "root@1 x@1 inner@1 both@1 y@1 c@1 (all in one layer)"),
	)

	DescribeTable("reports conflicting groupings", func(w flatten.Grouping, want ...string) {
		plan, err := flatten.Plan(e, ms, w, flatten.Existing{})
		Expect(plan).To(BeNil())
		Expect(err).To(MatchError(strings.Join(want, "\n")))
	},
		Entry("in two groups", flatten.Grouping{Groups: [][]string{{"a", "b"}, {"b", "c"}}}, "conflicting layers for buildpack b@1: group 1 and group 2"),
		Entry("in a group and apart", flatten.Grouping{Groups: [][]string{{"a", "b"}}, Exclude: []string{"a"}}, "conflicting layers for buildpack a@1: group 1 and excluded"),
		Entry("an unknown mode", flatten.Grouping{Mode: "some"}, `unsupported layer plan mode "some"`),
		Entry("a mode that is planned elsewhere", flatten.Grouping{Mode: flatten.Auto}, `unsupported layer plan mode "auto"`),
		Entry("unknown", flatten.Grouping{Mode: flatten.All, Exclude: []string{"q"}}, `unknown buildpack "q"; name one of root@1, x@1 and 6 more`),
		Entry("everything at once", flatten.Grouping{Groups: [][]string{{"a", "q"}, {"a", "w"}}, Exclude: []string{"e", "a"}},
			`unknown buildpack "q"; name one of root@1, x@1 and 6 more`, `unknown buildpack "w"; name one of root@1, x@1 and 6 more`, "conflicting layers for buildpack a@1: group 1 and group 2",
			`unknown buildpack "e"; name one of root@1, x@1 and 6 more`, "conflicting layers for buildpack a@1: group 2 and excluded"),
	)

	// Two layers of the sources hold both, one of them with what is not here.
	packed := [][]flatten.Ref{rs("x@1", "inner@1", "both@1"), rs("gone@1", "both@1", "b@1", "y@1")}

	DescribeTable("keeps what is packed", func(w flatten.Grouping, want ...flatten.PlannedLayer) {
		w.Mode = flatten.AsPackaged
		Expect(flatten.Plan(e, ms, w, flatten.Existing{Packed: packed})).To(Equal(flatten.LayerPlan(want)))
	},
		Entry("as it is, each ref in the first layer that has it", flatten.Grouping{},
			flatten.PlannedLayer{Refs: rs("x@1", "inner@1", "both@1"), AsIs: true, Reason: "as packaged"},
			flatten.PlannedLayer{Refs: rs("a@1"), Reason: "alone"},
			flatten.PlannedLayer{Refs: rs("y@1", "b@1"), AsIs: true, Extra: rs("gone@1", "both@1"), Reason: "as packaged"},
			flatten.PlannedLayer{Refs: rs("c@1"), Reason: "alone"}, flatten.PlannedLayer{Refs: rs("root@1"), Reason: "alone"}),
		Entry("but for what has to give a ref away", flatten.Grouping{Exclude: []string{"b"}},
			flatten.PlannedLayer{Refs: rs("x@1", "inner@1", "both@1"), AsIs: true, Reason: "as packaged"},
			flatten.PlannedLayer{Refs: rs("a@1"), Reason: "alone"},
			flatten.PlannedLayer{Refs: rs("y@1"), Reason: "as packaged"}, flatten.PlannedLayer{Refs: rs("b@1"), Reason: "excluded"},
			flatten.PlannedLayer{Refs: rs("c@1"), Reason: "alone"}, flatten.PlannedLayer{Refs: rs("root@1"), Reason: "alone"}),
	)

	It("has no root to put on top for a builder", func() {
		e, _ := ms.ExpandAll(rs("c@1", "x@1"))
		plan, err := flatten.Plan(e, ms, flatten.Grouping{Mode: flatten.Composites}, flatten.Existing{})
		Expect(err).NotTo(HaveOccurred())
		Expect(written(plan)).To(Equal([]string{"c@1 (top-level component)", "x@1 inner@1 a@1 both@1 (composite x@1)"}))
	})

	It("keeps a top-level component out of the composites that have it too", func() {
		ms := modules(composite("root@1", group("x@1", "a@1")), composite("x@1", group("a@1", "b@1")), component("a@1"), component("b@1"))
		e, _ := ms.Expand(r("root@1"))
		plan, err := flatten.Plan(e, ms, flatten.Grouping{Mode: flatten.Composites}, flatten.Existing{})
		Expect(err).NotTo(HaveOccurred())
		Expect(written(plan)).To(Equal([]string{"x@1 b@1 (composite x@1)", "a@1 (top-level component)", "root@1 (root)"}))
	})
})
