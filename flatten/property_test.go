package flatten_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

// randomTree makes modules whose orders go downwards only, so that there are
// no circles: m0 is the root, and each composite names some of those after it.
func randomTree(rnd *rand.Rand) flatten.Modules {
	ms := flatten.Modules{}
	n := 2 + rnd.IntN(30)
	for i := range n {
		m := component(fmt.Sprintf("m%d@1", i))
		if i < n-1 && (i == 0 || rnd.IntN(2) == 0) {
			for range 1 + rnd.IntN(3) {
				var g flatten.Group
				for range 1 + rnd.IntN(4) {
					g.Entries = append(g.Entries, flatten.Entry{ID: fmt.Sprintf("m%d", i+1+rnd.IntN(n-i-1)), Version: "1"})
				}
				m.Order = append(m.Order, g)
			}
		}
		ms[m.Ref()] = m
	}
	return ms
}

// below returns the refs that can be reached from a ref, including itself, as a fixed point.
func below(ms flatten.Modules, from flatten.Ref) map[flatten.Ref]bool {
	all := map[flatten.Ref]bool{from: true}
	for before := 0; before < len(all); {
		before = len(all)
		for ref := range maps.Clone(all) {
			for _, e := range ms[ref].Order.Entries() {
				all[e.Ref()] = true
			}
		}
	}
	return all
}

// naiveOwners is the definition of an owner set, word by word.
func naiveOwners(ms flatten.Modules, e flatten.Expansion, of flatten.Ref) []flatten.Ref {
	var top []flatten.Ref
	for _, entry := range ms[e.Root].Order.Entries() {
		if !slices.Contains(top, entry.Ref()) {
			top = append(top, entry.Ref())
		}
	}
	if slices.Contains(top, of) && len(ms[of].Order) == 0 {
		return []flatten.Ref{of}
	}
	return slices.DeleteFunc(top, func(t flatten.Ref) bool { return !below(ms, t)[of] })
}

func randomGrouping(rnd *rand.Rand, refs []flatten.Ref) (w flatten.Grouping, have flatten.Existing) {
	w.Mode = []flatten.Mode{"", flatten.None, flatten.Composites, flatten.All, flatten.AsPackaged}[rnd.IntN(5)]
	for range rnd.IntN(4) {
		var packed []flatten.Ref
		for range 1 + rnd.IntN(5) {
			if ref := refs[rnd.IntN(len(refs))]; !slices.Contains(packed, ref) {
				packed = append(packed, ref)
			}
		}
		have.Packed = append(have.Packed, packed)
	}
	some := slices.Clone(refs)
	rnd.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	take := func() (patterns []string) {
		n := min(len(some), rnd.IntN(4))
		for _, ref := range some[:n] {
			patterns = append(patterns, ref.String())
		}
		some = some[n:]
		return patterns
	}
	w.Groups = [][]string{take(), take()}
	w.Exclude = take()
	return w, have
}

// layerOf returns the refs of the layer that holds a ref.
func layerOf(p flatten.LayerPlan, ref flatten.Ref) []flatten.Ref {
	for _, l := range p {
		if slices.Contains(l.Refs, ref) {
			return l.Refs
		}
	}
	return nil
}

var _ = Describe("any expansion and plan", func() {
	// The seed is Ginkgo's, which a failure names.
	each := func(check func(rnd *rand.Rand, ms flatten.Modules, e flatten.Expansion)) {
		GinkgoHelper()
		rnd := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 1))
		for range 300 {
			ms := randomTree(rnd)
			e, problems := ms.Expand(r("m0@1"))
			Expect(problems).To(BeEmpty())
			check(rnd, ms, e)
		}
	}

	It("reaches what can be reached, once, a parent before its children", func() {
		each(func(_ *rand.Rand, ms flatten.Modules, e flatten.Expansion) {
			all := below(ms, e.Root)
			Expect(e.Refs).To(ConsistOf(slices.Collect(maps.Keys(all))))
			Expect(e.Refs[0]).To(Equal(e.Root))
			at := func(ref flatten.Ref) int { return slices.Index(e.Refs, ref) }
			for _, ref := range e.Refs[1:] {
				parents := slices.DeleteFunc(slices.Clone(e.Refs), func(p flatten.Ref) bool {
					return !slices.ContainsFunc(ms[p].Order.Entries(), func(en flatten.Entry) bool { return en.Ref() == ref })
				})
				Expect(slices.ContainsFunc(parents, func(p flatten.Ref) bool { return at(p) < at(ref) })).To(BeTrue())
			}
		})
	})

	It("has the owner sets of their definition", func() {
		each(func(_ *rand.Rand, ms flatten.Modules, e flatten.Expansion) {
			Expect(e.Owners).To(HaveLen(len(e.Refs) - 1))
			for ref, owners := range e.Owners {
				Expect(owners).To(Equal(naiveOwners(ms, e, ref)), "owners of %s", ref)
			}
		})
	})

	It("covers the expansion just once, in its order, the root's layer on top", func() {
		each(func(rnd *rand.Rand, ms flatten.Modules, e flatten.Expansion) {
			w, have := randomGrouping(rnd, e.Refs)
			plan, err := flatten.Plan(e, ms, w, have)
			Expect(err).NotTo(HaveOccurred())
			var covered []flatten.Ref
			at := func(a, b flatten.Ref) int { return slices.Index(e.Refs, a) - slices.Index(e.Refs, b) }
			for _, l := range plan {
				Expect(l.Refs).NotTo(BeEmpty())
				Expect(l.Reason).NotTo(BeEmpty())
				Expect(slices.IsSortedFunc(l.Refs, at)).To(BeTrue())
				covered = append(covered, l.Refs...)
				if l.AsIs {
					whole := slices.Concat(l.Refs, l.Extra)
					Expect(slices.ContainsFunc(have.Packed, func(p []flatten.Ref) bool {
						return len(p) == len(whole) && !slices.ContainsFunc(p, func(r flatten.Ref) bool { return !slices.Contains(whole, r) })
					})).To(BeTrue(), "%v is used as it is", l)
				}
			}
			Expect(covered).To(ConsistOf(e.Refs))
			Expect(plan[len(plan)-1].Refs).To(ContainElement(e.Root))
			Expect(slices.IsSortedFunc(plan[:len(plan)-1], func(a, b flatten.PlannedLayer) int { return at(a.Refs[0], b.Refs[0]) })).To(BeTrue())
		})
	})

	It("puts two refs together where their owner sets are equal, and only there", func() {
		each(func(_ *rand.Rand, ms flatten.Modules, e flatten.Expansion) {
			plan, err := flatten.Plan(e, ms, flatten.Grouping{Mode: flatten.Composites}, flatten.Existing{})
			Expect(err).NotTo(HaveOccurred())
			together := map[string][]flatten.Ref{}
			for _, ref := range e.Refs {
				key := fmt.Sprint(ref == e.Root, naiveOwners(ms, e, ref))
				together[key] = append(together[key], ref)
			}
			Expect(plan).To(HaveLen(len(together)))
			for _, l := range plan {
				Expect(together[fmt.Sprint(l.Refs[0] == e.Root, naiveOwners(ms, e, l.Refs[0]))]).To(Equal(l.Refs))
			}
		})
	})

	It("honours groups and exclusions", func() {
		each(func(rnd *rand.Rand, ms flatten.Modules, e flatten.Expansion) {
			w, have := randomGrouping(rnd, e.Refs)
			plan, err := flatten.Plan(e, ms, w, have)
			Expect(err).NotTo(HaveOccurred())
			for _, g := range w.Groups {
				for _, name := range g {
					Expect(layerOf(plan, r(name))).To(ConsistOf(rs(g...)))
				}
			}
			for _, name := range w.Exclude {
				Expect(layerOf(plan, r(name))).To(Equal(rs(name)))
			}
		})
	})

	It("is the same however the map of modules came to be", func() {
		each(func(rnd *rand.Rand, ms flatten.Modules, e flatten.Expansion) {
			names := slices.Collect(maps.Keys(ms))
			rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
			again := flatten.Modules{}
			for _, n := range names {
				again[n] = ms[n]
			}
			w, have := randomGrouping(rnd, e.Refs)
			first, err := flatten.Plan(e, ms, w, have)
			Expect(err).NotTo(HaveOccurred())
			e2, problems := again.Expand(e.Root)
			Expect(problems).To(BeEmpty())
			Expect(e2).To(Equal(e))
			Expect(flatten.Plan(e2, again, w, have)).To(Equal(first))
		})
	})

	It("reports the same problems, in the same order, whatever the map's", func() {
		each(func(rnd *rand.Rand, ms flatten.Modules, _ flatten.Expansion) {
			broken := flatten.Modules{}
			for ref, m := range ms {
				if rnd.IntN(4) > 0 || ref == r("m0@1") {
					broken[ref] = m
				}
				if rnd.IntN(4) == 0 {
					m.Info.Version = "2"
					broken[m.Ref()] = m
				}
			}
			for ref, m := range broken {
				for i := range m.Order {
					m.Order[i].Entries[0].Version = ""
				}
				broken[ref] = m
			}
			_, first := broken.Expand(r("m0@1"))
			for range 3 {
				_, again := maps.Clone(broken).Expand(r("m0@1"))
				Expect(again).To(Equal(first))
			}
		})
	})

	It("leaves the layers of a composite as they are when an unrelated top-level ref is added", func() {
		each(func(rnd *rand.Rand, ms flatten.Modules, e flatten.Expansion) {
			before, err := flatten.Plan(e, ms, flatten.Grouping{Mode: flatten.Composites}, flatten.Existing{})
			Expect(err).NotTo(HaveOccurred())
			added := maps.Clone(ms)
			added[r("new@1")], added[r("child@1")] = composite("new@1", group("child@1")), component("child@1")
			root := added[e.Root]
			root.Order = slices.Insert(slices.Clone(root.Order), rnd.IntN(len(root.Order)+1), flatten.Group{Entries: group("new@1")})
			added[e.Root] = root
			e2, problems := added.Expand(e.Root)
			Expect(problems).To(BeEmpty())
			after, err := flatten.Plan(e2, added, flatten.Grouping{Mode: flatten.Composites}, flatten.Existing{})
			Expect(err).NotTo(HaveOccurred())
			kept := slices.DeleteFunc(slices.Clone(after), func(l flatten.PlannedLayer) bool { return slices.Contains(l.Refs, r("new@1")) })
			Expect(kept).To(HaveLen(len(after) - 1))
			Expect(kept).To(Equal(before))
		})
	})
})
