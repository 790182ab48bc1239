package layer_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"laminate/flatten/layer"
	"laminate/flatten/layer/inflate"
)

// A part is something that cannot be left out of what is done to a layer.
type part struct {
	name string
	do   func() error
}

// The names of the parts. What is inflated is one member of laminate's level.
const (
	hashing   = "sha256"
	deflating = "deflate"
	encoding  = "zstd"
	inflating = "inflate-klauspost"
	cutting   = "inflate-cutter"
	decoding  = "unzstd"
)

func deflated(w io.Writer, content []byte) error {
	z, err := gzip.NewWriterLevel(w, layer.GzipLevel)
	if err != nil {
		return err
	}
	if _, err := z.Write(content); err != nil {
		return err
	}
	return z.Close()
}

// parts are all of them, each on one core and for benchSize bytes of content.
var parts = sync.OnceValues(func() ([]part, error) {
	content := []byte(verse(benchSize))
	var blob bytes.Buffer
	if err := deflated(&blob, content); err != nil {
		return nil, err
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, err
	}
	frame := enc.EncodeAll(content, nil)
	room := make([]byte, 0, enc.MaxEncodedSize(benchSize))
	drain := func(r io.Reader, err error) error {
		if err == nil {
			_, err = io.Copy(io.Discard, struct{ io.Reader }{r})
		}
		return err
	}
	return []part{
		{hashing, func() error { sha256.Sum256(content); return nil }},
		{deflating, func() error { return deflated(io.Discard, content) }},
		{encoding, func() error { enc.EncodeAll(content, room); return nil }},
		{inflating, func() error { return drain(gzip.NewReader(bytes.NewReader(blob.Bytes()))) }},
		{cutting, func() error { return cutWhole(inflate.NewCutter(bytes.NewReader(blob.Bytes()))) }},
		{decoding, func() error { return drain(zstd.NewReader(bytes.NewReader(frame), zstd.WithDecoderConcurrency(1))) }},
	}, nil
})

// cutWhole keeps all of a stream, as it is read.
func cutWhole(c *inflate.Cutter) error {
	buf := make([]byte, 1<<20)
	for total := int64(0); ; {
		n, err := io.ReadFull(c, buf)
		total += int64(n)
		if _, failed := c.Keep(total); failed != nil {
			return failed
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return nil
		default:
			return err
		}
	}
}

// BenchmarkFloor is what nothing can be faster than: the parts alone, on one core.
func BenchmarkFloor(b *testing.B) {
	all, err := parts()
	if err != nil {
		b.Fatal(err)
	}
	for _, p := range all {
		b.Run(p.name, func(b *testing.B) {
			b.SetBytes(benchSize)
			b.ReportAllocs()
			for b.Loop() {
				if err := p.do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// floors is how long each part takes: the least of three tries.
var floors = sync.OnceValues(func() (map[string]time.Duration, error) {
	all, err := parts()
	if err != nil {
		return nil, err
	}
	took := map[string]time.Duration{}
	for _, p := range all {
		for try := range 3 {
			began := time.Now()
			if err := p.do(); err != nil {
				return nil, err
			}
			if d := time.Since(began); try == 0 || d < took[p.name] {
				took[p.name] = d
			}
		}
	}
	took[inflating] = min(took[inflating], took[cutting])
	return took, nil
})

// need is how often a part is needed for each byte of content.
type need map[string]float64

// floor returns the shortest time in which benchSize bytes can be done: the
// parts, with nothing between them, evenly spread over all cores.
func (n need) floor(b *testing.B) time.Duration {
	took, err := floors()
	if err != nil {
		b.Fatal(err)
	}
	var sum float64
	for name, times := range n {
		sum += times * float64(took[name])
	}
	return time.Duration(sum / float64(runtime.GOMAXPROCS(0)))
}

// distance reports how many times as long as its floor a benchmark took that is
// over, and the processor time since it began.
func distance(b *testing.B, floor, began time.Duration) {
	b.ReportMetric(float64(cpuTime()-began)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(floor), "x-floor")
}

// cpuTime returns the processor time of this process so far, which other processes disturb less than
// the time on the wall.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
