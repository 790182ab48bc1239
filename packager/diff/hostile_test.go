package diff_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager/diff"
)

// A few seconds are far more than these need, and far less than the minutes that they took when the
// work on them was quadratic.
var _ = DescribeTable("images that mean harm are compared in little time",
	func(of func(side string) spec) {
		old, new := of("1").image(), of("2").image()
		began := time.Now()
		_, err := diff.Images(old, new)
		Expect(err).NotTo(HaveOccurred())
		Expect(time.Since(began)).To(BeNumerically("<", time.Minute))
	},
	Entry("hundreds of versions of a few ids, each in hundreds of composites", func(side string) spec {
		s := builder("")
		all := made{content: side, refs: []string{"hub@1"}}
		var hub, top flatten.Group
		for i := range 900 {
			top.Entries = append(top.Entries, flatten.Entry{ID: fmt.Sprint("top", i), Version: "1"})
			all.refs = append(all.refs, fmt.Sprintf("top%d@1", i))
			s.orders[fmt.Sprintf("top%d@1", i)] = order("hub@1")
		}
		for i := range 1000 {
			e := flatten.Entry{ID: fmt.Sprint("id", i%10), Version: fmt.Sprint(i, ".", side)}
			hub.Entries = append(hub.Entries, e)
			all.refs = append(all.refs, e.Ref().String())
		}
		s.orders["hub@1"] = flatten.Order{hub}
		s.layers, s.labels[flatten.OrderLabel] = []made{all}, flatten.Order{top}
		return s
	}),
	Entry("orders of many long groups that have nothing in common", func(side string) spec {
		s := builder("a@1")
		var groups flatten.Order
		for range 1000 {
			var g flatten.Group
			for i := range 300 {
				g.Entries = append(g.Entries, flatten.Entry{ID: fmt.Sprint(side, "-", i)})
			}
			groups = append(groups, g)
			groups[len(groups)-1].Entries[0].ID += fmt.Sprint(len(groups))
		}
		s.labels[flatten.OrderLabel] = groups
		return s
	}),
)
