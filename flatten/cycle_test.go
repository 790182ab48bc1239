package flatten_test

import (
	"fmt"
	"runtime"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

// complete is n composites of which each names all others, or those that come
// after it.
func complete(n int, cyclic bool) flatten.Modules {
	var all []flatten.Module
	for i := range n {
		m := composite(fmt.Sprintf("b%d@1", i))
		for other := range n {
			if other > i || cyclic && other != i {
				m.Order = append(m.Order, flatten.Group{Entries: group(fmt.Sprintf("b%d@1", other))})
			}
		}
		all = append(all, m)
	}
	return modules(all...)
}

var _ = DescribeTable("an order of very many entries takes what its size warrants", func(cyclic bool) {
	const n = 400
	ms := complete(n, cyclic)
	edges := 0
	for _, m := range ms {
		edges += len(m.Order.Entries())
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, faults := ms.Expand(r("b0@1"))
	runtime.ReadMemStats(&after)
	Expect((after.TotalAlloc - before.TotalAlloc) / uint64(edges)).To(BeNumerically("<", 2000))
	if !cyclic {
		Expect(faults).To(BeEmpty())
		return
	}
	// In a complete graph half of the entries lead back, one of which is shown.
	Expect(faults).To(HaveLen(1))
	Expect(faults[0].In).To(Equal(r("b1@1")))
	Expect(faults[0].Message).To(Equal(fmt.Sprintf("order goes in a circle: b0@1 -> b1@1 -> b0@1; other entries that close a cycle: %d", edges/2-1)))
},
	Entry("in cycles", true),
	Entry("without a cycle", false),
)
