package flatten_test

import (
	"fmt"
	"testing"

	"laminate/flatten"
)

// 500 buildpacks: 20 top-level composites of 4 composites each, which choose
// among 400 components, most of them shared.
func BenchmarkExpandAndPlan(b *testing.B) {
	root, ms := composite("root@1"), flatten.Modules{}
	for i := range 400 {
		m := component(fmt.Sprintf("component%d@1", i))
		ms[m.Ref()] = m
	}
	for i := range 20 {
		top := composite(fmt.Sprintf("top%d@1", i))
		for j := range 4 {
			inner := composite(fmt.Sprintf("inner%d-%d@1", i, j))
			for k := range 20 {
				inner.Order = append(inner.Order, flatten.Group{Entries: group(fmt.Sprintf("component%d@1", (i*37+j*11+k*7)%400))})
			}
			ms[inner.Ref()] = inner
			top.Order = append(top.Order, flatten.Group{Entries: group(inner.Ref().String())})
		}
		ms[top.Ref()] = top
		root.Order = append(root.Order, flatten.Group{Entries: group(top.Ref().String())})
	}
	ms[root.Ref()] = root
	b.ReportAllocs()
	for b.Loop() {
		e, problems := ms.Expand(root.Ref())
		if len(problems) > 0 {
			b.Fatal(problems)
		}
		plan, err := flatten.Plan(e, ms, flatten.Grouping{Mode: flatten.Composites}, flatten.Existing{})
		if err != nil || len(plan) < 21 {
			b.Fatal(plan, err)
		}
	}
}
