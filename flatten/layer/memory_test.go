package layer_test

import (
	"context"
	"io"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
)

// peak samples the heap in use while something is done.
func peak(do func()) uint64 {
	runtime.GC() // what is in a sync.Pool outlives one collection, and is that of other specs
	debug.FreeOSMemory()
	defer debug.SetGCPercent(debug.SetGCPercent(10)) // what is in use counts, not what was
	var highest atomic.Uint64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			highest.Store(max(highest.Load(), m.HeapInuse))
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	do()
	close(stop)
	<-stopped
	return highest.Load()
}

var _ = Describe("memory", Serial, func() {
	const size = 256 << 20
	// Eight files that repeat themselves, which is quick to compress.
	files := func() (all []layer.File) {
		block := []byte(verse(16 << 10))
		for i := range 8 {
			all = append(all, layer.File{Path: string(rune('a' + i)), Size: size / 8, Open: func() (io.ReadCloser, error) {
				at := i
				return io.NopCloser(io.LimitReader(reader(func(p []byte) (int, error) {
					n := copy(p, block[at%len(block):])
					at += n
					return n, nil
				}), size/8)), nil
			}})
		}
		return all
	}

	It("does not grow with the size of a layer, built, inspected or taken apart", func() {
		var b *layer.Built
		used := peak(func() { b = build(layer.Gzip, of(a1, files()...), of(b1, noise("g", 1<<20, 1))) })
		Expect(used).To(BeNumerically("<", 64<<20), "building")
		Expect(b.Pieces[0].Length).To(BeNumerically(">", size))

		refs := []flatten.Ref{a1, b1}
		used = peak(func() {
			Expect(layer.Inspect(context.Background(), flatten.Buildpack, refs, b.Open)).To(HaveField("NonCanonical", ""))
		})
		Expect(used).To(BeNumerically("<", 64<<20), "inspecting")

		used = peak(func() {
			pieces := fromShared(flatten.Buildpack, refs, "here", GinkgoT().TempDir(), b.Open)
			Expect(layer.Measure(context.Background(), layer.Member{Ref: a1, Piece: pieces[a1]})).To(Equal(b.Pieces[0]))
		})
		Expect(used).To(BeNumerically("<", 64<<20), "taking apart")
	})

	It("does not grow with the size of a layer in frames of zstd", func() {
		used := peak(func() {
			_, err := layer.Build(context.Background(), []layer.Member{of(a1, files()...)}, layer.BuildOptions{
				Kind: flatten.Buildpack, Compression: layer.Zstd, Path: filepath.Join(GinkgoT().TempDir(), "layer"),
			})
			Expect(err).NotTo(HaveOccurred())
		})
		Expect(used).To(BeNumerically("<", 64<<20))
	})
})
