package auto_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/auto"
)

func r(s string) flatten.Ref {
	id, version, _ := strings.Cut(s, "@")
	return flatten.Ref{ID: id, Version: version}
}

func rs(names string) []flatten.Ref {
	var refs []flatten.Ref
	for n := range strings.FieldsSeq(names) {
		refs = append(refs, r(n))
	}
	return refs
}

// module makes one of "ref size owner...", the size in megabytes.
func module(ref string, size int64, owners string) auto.Module {
	return auto.Module{Ref: r(ref), Size: size << 20, Owners: rs(owners)}
}

func written(plan flatten.LayerPlan) []string {
	var lines []string
	for _, l := range plan {
		lines = append(lines, flatten.JoinRefs(l.Refs, " ")+" ("+l.Reason+")")
	}
	return lines
}

var _ = Describe("planning", func() {
	builder := []auto.Module{
		module("go@1", 0, "go@1"), module("dist@1", 60, "go@1"), module("mod@1", 60, "go@1"), module("git@1", 5, "go@1"),
		module("web@1", 0, "web@1"), module("httpd@1", 60, "web@1"), module("nginx@1", 60, "web@1"),
		module("certs@1", 5, "go@1 web@1"), module("proc@1", 5, "proc@1"),
	}

	It("explodes what fits", func() {
		Expect(written(mustPlan(auto.Input{Modules: builder[:3], Budget: 3}))).To(Equal([]string{"dist@1 (alone)", "mod@1 (alone)", "go@1 (alone)"}))
	})

	It("puts together what changes together", func() {
		Expect(written(mustPlan(auto.Input{Modules: builder, Budget: 4}))).To(Equal([]string{
			"dist@1 mod@1 (change with go@1)",
			"httpd@1 nginx@1 (change with web@1)",
			"git@1 certs@1 (cheapest together, of 2 owner sets)",
			"go@1 web@1 proc@1 (cheapest together, of 3 owner sets)",
		}))
	})

	It("regroups only what changed, and says what stays", func() {
		before := mustPlan(auto.Input{Modules: builder, Budget: 4})
		now := slices.Clone(builder)
		rename(now, r("go@1"), r("go@2"))
		rename(now, r("git@1"), r("git@2"))
		Expect(written(mustPlan(auto.Input{Modules: now, Budget: 4, Previous: layersOf(before)}))).To(Equal([]string{
			"dist@1 mod@1 (change with go@2, as in the previous image)",
			"httpd@1 nginx@1 (change with web@1, as in the previous image)",
			"git@2 certs@1 (cheapest together, of 2 owner sets)",
			"go@2 web@1 proc@1 (cheapest together, of 3 owner sets)",
		}))
	})

	It("leaves fixed layers as they are, and finds their places", func() {
		fixed := flatten.LayerPlan{{Refs: rs("x@1 y@1"), Reason: "group 1"}, {Refs: rs("z@2"), Reason: "excluded"}}
		in := auto.Input{Modules: builder[:3], Budget: 4, Fixed: fixed, Previous: [][]flatten.Ref{rs("dist@1"), rs("y@1 x@1"), rs("mod@0")}}
		Expect(written(mustPlan(in))).To(Equal([]string{
			"dist@1 (alone, as in the previous image)", "x@1 y@1 (group 1)", "z@2 (excluded)", "go@1 mod@1 (change with go@1)",
		}))
	})

	It("puts the root of a package on top", func() {
		for budget := 3; budget <= 10; budget++ {
			plan := mustPlan(auto.Input{Modules: slices.Concat([]auto.Module{module("a@1", 1, "")}, builder), Budget: budget})
			Expect(plan[len(plan)-1].Refs).To(ContainElement(r("a@1")))
		}
	})

	It("fills a smaller budget by joining what costs least, and leaves the rest as it is", func() {
		var previous [][]flatten.Ref
		for _, m := range builder {
			previous = append(previous, []flatten.Ref{m.Ref})
		}
		Expect(written(mustPlan(auto.Input{Modules: builder, Budget: 7, Previous: previous}))).To(Equal([]string{
			"dist@1 (alone, as in the previous image)", "mod@1 (alone, as in the previous image)",
			"httpd@1 (alone, as in the previous image)", "nginx@1 (alone, as in the previous image)", "proc@1 (alone, as in the previous image)",
			"git@1 certs@1 (cheapest together, of 2 owner sets)",
			"go@1 web@1 (cheapest together, of 2 owner sets)",
		}))
	})

	It("plans nothing for nothing", func() {
		Expect(mustPlan(auto.Input{Budget: 1})).To(BeEmpty())
	})

	DescribeTable("refuses what cannot be", func(in auto.Input, want string) {
		_, err := auto.Plan(in)
		Expect(err).To(MatchError(want))
	},
		Entry("no layer", auto.Input{Modules: builder}, "budget of 0 layers: the minimum is 1"),
		Entry("no layer beside the fixed ones", auto.Input{Modules: builder, Budget: 1, Fixed: flatten.LayerPlan{{Refs: rs("x@1")}}}, "budget of 1 layers: the minimum is 2, since 1 are fixed"),
		Entry("a ref twice", auto.Input{Modules: []auto.Module{builder[0], builder[0]}, Budget: 1}, "duplicate buildpack go@1"),
		Entry("a fixed ref again", auto.Input{Modules: builder[:1], Budget: 2, Fixed: flatten.LayerPlan{{Refs: rs("go@1")}}}, "duplicate buildpack go@1"),
		Entry("less than nothing", auto.Input{Modules: []auto.Module{{Ref: r("a@1"), Size: -1}}, Budget: 1}, "buildpack a@1: invalid size -1; the range is 0 to 70368744177664"),
	)

	It("is fast: 500 buildpacks into 40 layers", func() {
		in := large()
		began := time.Now()
		mustPlan(in)
		Expect(time.Since(began)).To(BeNumerically("<", 5*time.Second), "it takes less than 0.1 s on a quiet machine; see the benchmark")
	})
})

// large is a builder of 500 buildpacks, and its previous image before a
// release in which a quarter of its composites changed.
func large() auto.Input {
	s := newSample(rand.New(rand.NewPCG(7, 7)), 20, 480)
	before, err := auto.Plan(auto.Input{Modules: s.modules(), Budget: 40})
	if err != nil {
		panic(err)
	}
	s.release()
	return auto.Input{Modules: s.modules(), Budget: 40, Previous: layersOf(before)}
}

func BenchmarkPlan(b *testing.B) {
	in := large()
	b.Run("next", func(b *testing.B) {
		for b.Loop() {
			if _, err := auto.Plan(in); err != nil {
				b.Fatal(err)
			}
		}
	})
	in.Previous = nil
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			if _, err := auto.Plan(in); err != nil {
				b.Fatal(err)
			}
		}
	})
	in.Previous = nil
	for _, m := range in.Modules {
		in.Previous = append(in.Previous, []flatten.Ref{m.Ref})
	}
	in.Modules = slices.Clone(in.Modules)
	for i := range in.Modules[:50] {
		in.Modules[i].Ref.Version += ".new"
	}
	b.Run("exploded before", func(b *testing.B) {
		for b.Loop() {
			if _, err := auto.Plan(in); err != nil {
				b.Fatal(err)
			}
		}
	})
}
