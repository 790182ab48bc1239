package builder_test

import (
	"maps"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("build.env entries", func() {
	It("give one digest in any order, here or in another run", func() {
		b := newBench()
		entries := []string{
			"[[build.env]]\nname = 'A'\nvalue = '1'\n", "[[build.env]]\nname = 'B'\nvalue = '2'\nsuffix = 'append'\ndelim = ':'\n",
			"[[build.env]]\nname = 'C'\nvalue = '3'\nsuffix = 'default'\n", "[[build.env]]\nname = 'D'\nvalue = '4'\n",
		}
		digests := map[string]bool{}
		for _, shift := range []int{0, 1, 2, 3} {
			for range 3 { // a map would be in another order each time
				turned := slices.Concat(entries[shift:], entries[:shift])
				digests[digestOf(b.build(b.toml(turned...)).Image)] = true
				slices.Reverse(turned)
				digests[digestOf(b.build(b.toml(turned...)).Image)] = true
			}
		}
		Expect(slices.Collect(maps.Keys(digests))).To(HaveLen(1))
	})
})
