package flatten_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

var _ = Describe("refs that share an id directory", func() {
	DescribeTable("stand next to each other in a layer, at the place of the first", func(refs, want string) {
		split := func(s string) []flatten.Ref { return rs(strings.Fields(s)...) }
		Expect(flatten.Neighbours(split(refs))).To(Equal(split(want)))
		Expect(flatten.Neighbours(split(want))).To(Equal(split(want)))
		Expect(flatten.ShareIDDir(split(refs))).To(Equal(flatten.ShareIDDir(split(want))))
	},
		Entry("none does", "c@1 a@1 b@1", "c@1 a@1 b@1"),
		Entry("two versions", "c@1 a@2 b@1 a@1", "c@1 a@2 a@1 b@1"),
		Entry("two ids with one directory", "x/a@1 b@1 x_a@2", "x/a@1 x_a@2 b@1"),
		Entry("several", "a@1 b@1 a@2 b@2 a@3", "a@1 a@2 a@3 b@1 b@2"),
		Entry("ids that only begin alike", "a@1 b@1 a/a@1", "a@1 b@1 a/a@1"),
	)

	It("are found", func() {
		Expect(flatten.ShareIDDir(rs("a@1", "b@1", "a@2"))).To(BeTrue())
		Expect(flatten.ShareIDDir(rs("x/a@1", "x_a@1"))).To(BeTrue())
		Expect(flatten.ShareIDDir(rs("a@1", "b@1", "a/b@1"))).To(BeFalse())
		Expect(flatten.ShareIDDir(nil)).To(BeFalse())
		Expect(r("x/a@1").SharesIDDir(r("x_a@2"))).To(BeTrue())
	})

	It("stand so in every plan, which else has the order of the expansion, and leaves out what lies elsewhere", func() {
		rnd := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 2))
		ids := []string{"x/a", "x_a", "b", "c", "d", "e"}
		for range 200 {
			var names []string
			ms := modules()
			for i := range 2 + rnd.IntN(12) {
				names = append(names, fmt.Sprintf("%s@%d", ids[rnd.IntN(len(ids))], i))
				ms[r(names[i])] = component(names[i])
			}
			ms[r("one@1")] = composite("one@1", group(names[:len(names)/2]...))
			ms[r("two@1")] = composite("two@1", group(names[len(names)/2:]...))
			ms[r("root@1")] = composite("root@1", group("one@1", "two@1"))
			e, problems := ms.Expand(r("root@1"))
			Expect(problems).To(BeEmpty())
			w, have := randomGrouping(rnd, e.Refs)
			first, err := flatten.Plan(e, ms, w, have)
			Expect(err).NotTo(HaveOccurred())
			for _, ref := range e.Refs {
				if rnd.IntN(3) == 0 {
					have.Below = append(have.Below, ref)
				}
			}
			plan, err := flatten.Plan(e, ms, w, have)
			Expect(err).NotTo(HaveOccurred())
			claimed, err := w.Claimed(e, have)
			Expect(err).NotTo(HaveOccurred())
			var covered, before []flatten.Ref
			for _, l := range slices.Concat(first, plan, claimed) {
				inOrder := slices.SortedFunc(slices.Values(l.Refs), func(a, b flatten.Ref) int { return slices.Index(e.Refs, a) - slices.Index(e.Refs, b) })
				Expect(l.Refs).To(Equal(flatten.Neighbours(inOrder)))
				Expect(l.Refs).NotTo(BeEmpty())
			}
			for _, l := range plan {
				covered = append(covered, l.Refs...)
				if l.AsIs {
					Expect(slices.ContainsFunc(have.Packed, func(p []flatten.Ref) bool { return len(p) == len(l.Refs)+len(l.Extra) })).To(BeTrue())
				}
			}
			for _, l := range first {
				before = append(before, l.Refs...)
			}
			Expect(before).To(ConsistOf(e.Refs))
			Expect(slices.Concat(covered, have.Below)).To(ConsistOf(e.Refs))
		}
	})
})
