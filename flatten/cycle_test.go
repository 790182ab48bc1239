package flatten_test

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

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
	_, problems := ms.Expand(r("b0@1"))
	runtime.ReadMemStats(&after)
	Expect((after.TotalAlloc - before.TotalAlloc) / uint64(edges)).To(BeNumerically("<", 2000))
	if !cyclic {
		Expect(problems).To(BeEmpty())
		return
	}
	// In a complete graph half of the entries lead back, one of which is shown.
	Expect(problems).To(HaveLen(1))
	Expect(problems[0].In).To(Equal(r("b1@1")))
	Expect(problems[0].Message).To(Equal(fmt.Sprintf("cycle in order: b0@1 -> b1@1 -> b0@1; other entries that close a cycle: %d", edges/2-1)))
},
	Entry("in cycles", true),
	Entry("without a cycle", false),
)

// all is the modules and a root that names each of them.
func all(ms flatten.Modules) flatten.Modules {
	root := composite("root@1")
	for _, ref := range slices.SortedFunc(maps.Keys(ms), flatten.Ref.Compare) {
		root.Order = append(root.Order, flatten.Group{Entries: group(ref.String())})
	}
	ms[root.Ref()] = root
	return ms
}

var _ = It("an order of very many entries takes hardly more time where the root names every buildpack", func() {
	ms := all(complete(400, false))
	fastest := func(root string) time.Duration {
		least := time.Hour
		for range 3 {
			begun := time.Now()
			_, problems := ms.Expand(r(root))
			Expect(problems).To(BeEmpty())
			least = min(least, time.Since(begun))
		}
		return least
	}
	head := composite("head@1")
	head.Order = flatten.Order{{Entries: group("b0@1")}}
	ms[head.Ref()] = head
	Expect(fastest("root@1")).To(BeNumerically("<", 4*fastest("head@1")), "than where it names one that names the others")
})

var _ = It("an owner set may have hundreds of members", func() {
	const n = 300
	var chain []flatten.Module
	for i := range n {
		m := composite(fmt.Sprintf("b%03d@1", i))
		m.Order = flatten.Order{{Entries: group(fmt.Sprintf("b%03d@1", i+1))}}
		chain = append(chain, m)
	}
	ms := all(modules(append(chain, component(fmt.Sprintf("b%03d@1", n)))...))
	e, problems := ms.Expand(r("root@1"))
	Expect(problems).To(BeEmpty())
	for i := range n {
		Expect(e.Owners[e.TopLevel[i]]).To(Equal(e.TopLevel[:i+1]))
	}
	Expect(e.Owners[e.TopLevel[n]]).To(Equal(e.TopLevel[n:]), "a top-level component owns itself alone")
})
