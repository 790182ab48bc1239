package simulate_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/simulate"
)

// The figures of docs/layer-plan.md, in megabytes. Who changes the planner
// writes down here what it costs or gains.
var _ = Describe("on the history of a public builder", func() {
	figures := []struct {
		plan                    string
		budget, max             int
		mean, tenLater, onlyLow float64
	}{
		{"exploded", 40, 112, 81.4, 510.9, 431.7},
		{"pack", 40, 112, 81.4, 510.9, 480.6},
		{"composites", 40, 23, 186.0, 753.1, 478.0},
		{"owner-sets", 40, 24, 161.4, 721.0, 595.9},
		{"first-owner", 40, 10, 186.2, 771.9, 431.7},
		{"all", 40, 1, 599.2, 977.9, 599.2},
		{"largest-alone", 40, 40, 164.6, 593.4, 388.4},
		{"auto", 40, 40, 93.9, 553.5, 342.2},
		{"auto-history", 40, 40, 92.4, 549.5, 352.8},
		{"auto", 60, 60, 86.2, 529.4, 362.8},
		{"auto", 90, 90, 81.9, 513.0, 358.5},
	}

	It("plans pull what they are said to, within one percent", func() {
		var plans []string
		for _, f := range figures[:9] {
			plans = append(plans, f.plan)
		}
		history := jammy()
		result := run(simulate.Options{History: history, Plans: plans, Budgets: []int{40}, From: "0.3.40"})
		Expect(result.Steps).To(Equal(599))
		more := run(simulate.Options{History: history, Plans: []string{"auto"}, Budgets: []int{60, 90}, From: "0.3.40"})
		for _, f := range figures {
			for _, row := range append(result.Rows, more.Rows...) {
				if row.Plan != f.plan || row.BuildpackLayers != f.budget {
					continue
				}
				Expect(row.LayersMax).To(Equal(f.max), "%s", f.plan)
				for want, got := range map[float64]int64{f.mean: row.MeanBytes, f.tenLater: row.MeanBytesTenLater, f.onlyLow: row.MeanBytesPrefix} {
					Expect(float64(got)/1e6).To(BeNumerically("~", want, want/100), "%s with %d layers", f.plan, f.budget)
				}
			}
		}
	})
})
