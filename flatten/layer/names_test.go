package layer_test

import (
	"fmt"
	"runtime"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
)

var _ = Describe("many files", Serial, func() {
	It("take little more memory in normal form than in their list", func() {
		const n = 50_000
		var files []layer.File
		for i := range n {
			files = append(files, regular(fmt.Sprintf("directory/file-%d", i), "", 0o644))
		}
		held := func() uint64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		before := held()
		p, err := layer.NormalForm(flatten.Buildpack, a1, "here", files)
		Expect(err).NotTo(HaveOccurred())
		Expect(int64(held()-before)/n).To(BeNumerically("<", 160), "bytes per file")
		runtime.KeepAlive(p)
		runtime.KeepAlive(files)
	})
})
