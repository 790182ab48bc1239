package auto_test

import (
	"math/rand/v2"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/auto"
)

// someReleases plans a few releases of random builders under random budgets,
// and hands each plan to the check with what it was made of.
func someReleases(check func(rnd *rand.Rand, in auto.Input, plan flatten.LayerPlan)) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		s := newSample(rnd, 1+rnd.IntN(6), rnd.IntN(40))
		budget := 1 + rnd.IntN(30)
		var previous [][]flatten.Ref
		for range 8 {
			in := auto.Input{Modules: s.modules(), Budget: budget, Previous: previous}
			plan := mustPlan(in)
			check(rnd, in, plan)
			previous = layersOf(plan)
			s.release()
		}
	}
}

// same has the refs of two layers that hold the same, in whatever order.
func same(a, b []flatten.Ref) bool {
	return slices.Equal(slices.SortedFunc(slices.Values(a), flatten.Ref.Compare), slices.SortedFunc(slices.Values(b), flatten.Ref.Compare))
}

var _ = Describe("any plan", func() {
	It("covers the refs exactly once, within the budget, with a reason for each layer", func() {
		someReleases(func(_ *rand.Rand, in auto.Input, plan flatten.LayerPlan) {
			var want, got []flatten.Ref
			for _, m := range in.Modules {
				want = append(want, m.Ref)
			}
			for _, l := range plan {
				Expect(l.Refs).NotTo(BeEmpty())
				Expect(l.Reason).NotTo(BeEmpty())
				got = append(got, l.Refs...)
			}
			Expect(got).To(ConsistOf(want))
			Expect(len(plan)).To(BeNumerically("<=", in.Budget))
			if len(in.Modules) <= in.Budget {
				Expect(plan).To(HaveLen(len(in.Modules)), "what fits exploded is exploded")
			} else {
				Expect(plan).To(HaveLen(in.Budget), "no layer is saved for nothing")
			}
		})
	})

	It("is kept when nothing changes", func() {
		someReleases(func(_ *rand.Rand, in auto.Input, plan flatten.LayerPlan) {
			in.Previous = layersOf(plan)
			Expect(layersOf(mustPlan(in))).To(Equal(in.Previous))
		})
	})

	It("does not depend on the order of the input, but for the order in new layers", func() {
		someReleases(func(rnd *rand.Rand, in auto.Input, plan flatten.LayerPlan) {
			in.Modules = slices.Clone(in.Modules)
			rnd.Shuffle(len(in.Modules), func(i, j int) { in.Modules[i], in.Modules[j] = in.Modules[j], in.Modules[i] })
			for i, m := range in.Modules {
				m.Owners = slices.Clone(m.Owners)
				rnd.Shuffle(len(m.Owners), func(i, j int) { m.Owners[i], m.Owners[j] = m.Owners[j], m.Owners[i] })
				in.Modules[i] = m
			}
			other := mustPlan(in)
			Expect(other).To(HaveLen(len(plan)))
			for i := range plan {
				Expect(same(plan[i].Refs, other[i].Refs)).To(BeTrue(), "layer %d", i)
			}
		})
	})

	It("moves only one layer when one component changes", func() {
		someReleases(func(rnd *rand.Rand, in auto.Input, plan flatten.LayerPlan) {
			in.Previous, in.Modules = layersOf(plan), slices.Clone(in.Modules)
			i := rnd.IntN(len(in.Modules))
			old := in.Modules[i].Ref
			renewed := old
			renewed.Version += ".1"
			rename(in.Modules, old, renewed)
			stayed := slices.DeleteFunc(slices.Clone(in.Previous), func(l []flatten.Ref) bool { return slices.Contains(l, old) })
			after := layersOf(mustPlan(in))
			Expect(after).To(HaveLen(len(in.Previous)))
			Expect(after[:len(stayed)]).To(Equal(stayed), "all others lie as they lay, below it")
		})
	})

	It("keeps the order of the layers that stay, and puts the others above", func() {
		someReleases(func(_ *rand.Rand, in auto.Input, plan flatten.LayerPlan) {
			last, above := -1, false
			for _, l := range plan {
				i := slices.IndexFunc(in.Previous, func(was []flatten.Ref) bool { return slices.Equal(was, l.Refs) })
				if i < 0 {
					above = true
					continue
				}
				Expect(above).To(BeFalse())
				Expect(i).To(BeNumerically(">", last))
				last = i
			}
		})
	})

	It("takes previous plans of anybody", func() {
		someReleases(func(rnd *rand.Rand, in auto.Input, _ flatten.LayerPlan) {
			var previous [][]flatten.Ref
			for _, m := range in.Modules {
				ref := m.Ref
				if rnd.IntN(4) == 0 {
					ref.Version = "gone"
				}
				if k := len(previous); k > 0 && rnd.IntN(3) > 0 {
					k = rnd.IntN(k)
					previous[k] = append(previous[k], ref)
				} else {
					previous = append(previous, []flatten.Ref{ref})
				}
			}
			if len(previous) > 0 { // layers of nothing, twice the same ref, twice the same layer
				previous = append(previous, nil, previous[0], []flatten.Ref{previous[0][0], previous[0][0]})
			}
			in.Previous = previous
			plan := mustPlan(in)
			n := 0
			for _, l := range plan {
				n += len(l.Refs)
			}
			Expect(n).To(Equal(len(in.Modules)))
			Expect(len(plan)).To(BeNumerically("<=", in.Budget))
			in.Previous = layersOf(plan)
			Expect(layersOf(mustPlan(in))).To(Equal(in.Previous))
		})
	})
})

// rename returns a module another version, where others name it as an owner too.
func rename(ms []auto.Module, old, renewed flatten.Ref) {
	for i, m := range ms {
		if m.Ref == old {
			ms[i].Ref = renewed
		}
		if k := slices.Index(m.Owners, old); k >= 0 {
			ms[i].Owners = slices.Clone(m.Owners)
			ms[i].Owners[k] = renewed
		}
	}
}
