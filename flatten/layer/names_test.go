package layer_test

import (
	"fmt"
	"io/fs"
	"runtime"
	"strings"

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

	// A path of so many bytes and components, all of them its own.
	deep := func(i, components, each int) string {
		one := fmt.Sprintf("%0*d", each, i)
		return strings.TrimSuffix(strings.Repeat(one+"/", components), "/")
	}

	DescribeTable("are refused as soon as there are too many", func(n int, file func(i int) layer.File, message string) {
		var files []layer.File
		for i := range n {
			files = append(files, file(i))
		}
		used := allocated(func() {
			_, err := layer.NormalForm(flatten.Buildpack, a1, "here", files)
			Expect(err).To(MatchError("here: " + message))
		})
		Expect(used).To(BeNumerically("<", 512<<20))
	},
		Entry("with directories that are not listed", 110_000, func(i int) layer.File { return regular(deep(i, 10, 5), "", 0) },
			"too many files and directories; the limit is 1000000"),
		Entry("with long names of directories that are not listed", 400, func(i int) layer.File { return regular(deep(i, 256, 12), "", 0) },
			"names of files and directories are longer than 64 MiB in total"),
		Entry("with long names", 20_000, func(i int) layer.File { return regular(deep(i, 1, 3500), "", 0) },
			"names of files and directories are longer than 64 MiB in total"),
		Entry("with long links", 20_000, func(i int) layer.File {
			return layer.File{Path: fmt.Sprint(i), Mode: fs.ModeSymlink, Link: strings.Repeat("x", 4000)}
		}, "names of files and directories are longer than 64 MiB in total"),
	)

	It("may lie as deep as is allowed", func() {
		_, err := written(of(a1, regular(deep(1, 256, 4), "x", 0)).Piece)
		Expect(err).NotTo(HaveOccurred())
	})
})
