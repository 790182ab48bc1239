package layer_test

import (
	"archive/tar"
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"hash/crc32"
	"io"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
)

// bigPiece is the tar of a piece with one file of some 100 MB, as another tool
// compressed it: in one gzip member. Nothing of it lies in memory but a part
// that comes again and again, too long for a compressor to see.
type bigPiece struct {
	ref     flatten.Ref
	head    []byte // what lies before the file
	content []byte // what the file consists of
	// The same, compressed; last is the end of the archive and the footer.
	packedHead, packed, last []byte
}

const bigTimes = 24 // how often the content comes

func newBigPiece(id string, content []byte) bigPiece {
	GinkgoHelper()
	b := bigPiece{ref: flatten.Ref{ID: id, Version: "1"}, content: content}
	var header bytes.Buffer
	w := tar.NewWriter(&header)
	Expect(w.WriteHeader(&tar.Header{Name: bp + "/" + id + "/1/big", Mode: 0o755, Size: bigTimes * int64(len(content)), ModTime: layer.Epoch})).To(Succeed())
	b.head = cat(dir(bp+"/"+id), dir(bp+"/"+id+"/1"), header.Bytes())
	blocks := func(content []byte, last bool) []byte {
		var packed bytes.Buffer
		z, err := flate.NewWriter(&packed, flate.DefaultCompression)
		Expect(err).NotTo(HaveOccurred())
		_, err = z.Write(content)
		Expect(err).NotTo(HaveOccurred())
		Expect(z.Flush()).To(Succeed())
		if last {
			Expect(z.Close()).To(Succeed())
		}
		return packed.Bytes()
	}
	b.packedHead = append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}, blocks(b.head, false)...)
	b.packed, b.last = blocks(content, false), blocks(end, true)
	crc := crc32.NewIEEE()
	n, err := io.Copy(crc, b.tar())
	Expect(err).NotTo(HaveOccurred())
	b.last = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b.last, crc.Sum32()), uint32(n))
	return b
}

func (b bigPiece) of(head, content, last []byte) io.Reader {
	readers := []io.Reader{bytes.NewReader(head)}
	for range bigTimes {
		readers = append(readers, bytes.NewReader(content))
	}
	return io.MultiReader(append(readers, bytes.NewReader(last))...)
}

func (b bigPiece) tar() io.Reader { return b.of(b.head, b.content, end) }

// member can only be spliced.
func (b bigPiece) member() layer.Member {
	GinkgoHelper()
	id, _, err := v1.SHA256(b.tar())
	Expect(err).NotTo(HaveOccurred())
	return layer.Member{Ref: b.ref, Piece: unread, Splice: &layer.Splice{ContentID: id, Compression: layer.Gzip, Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(b.of(b.packedHead, b.packed, b.last)), nil
	}}}
}

// heapPeak reports how much larger the heap was at most while something was done
// on two cores, in bytes. Little of it is garbage.
func heapPeak(do func()) (peak int64) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	runtime.GC()
	metrics.Read(heap)
	before := int64(heap[0].Value.Uint64())
	done, sampled := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sampled)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				metrics.Read(heap)
				peak = max(peak, int64(heap[0].Value.Uint64())-before)
			}
		}
	}()
	do()
	close(done)
	<-sampled
	return peak
}

var _ = Describe("splicing three pieces of 100 MB each that another tool compressed", Serial, func() {
	DescribeTable("takes memory for what is under way, and not for what there is", func(content string, most int64) {
		var members []layer.Member
		for _, id := range []string{"a", "b", "c"} {
			members = append(members, newBigPiece(id, []byte(content)).member())
		}
		peak := heapPeak(func() { build(layer.Gzip, members...) })
		AddReportEntry("MiB at most", peak>>20)
		Expect(peak>>20).To(BeNumerically("<", most), "MiB")
	},
		Entry("verse, like executables", verse(4<<20), int64(52)),
		Entry("zeros, whose blocks are as large as they get", string(make([]byte, 4<<20)), int64(60)),
	)
})
