package inflate_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
)

type newWriter func(io.Writer) (io.WriteCloser, error)

func stdWriter(level int) newWriter {
	return func(w io.Writer) (io.WriteCloser, error) { return stdgzip.NewWriterLevel(w, level) }
}

func klauspostWriter(level int) newWriter {
	return func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, level) }
}

func compressed(tb testing.TB, open newWriter, content []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	z, err := open(&b)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := z.Write(content); err != nil {
		tb.Fatal(err)
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// A sample is a stream that says by its name how it was made.
type sample struct {
	name string
	blob []byte
}

// samples are small streams of all kinds: every level of the standard library
// and klauspost, stored and fixed blocks, flushes, several members, headers
// with everything, the farthest and longest matches, none of it, and what other
// tools made of the same.
func samples(tb testing.TB) []sample {
	tb.Helper()
	content := mixture()
	var all []sample
	add := func(name string, blob []byte) { all = append(all, sample{name, blob}) }
	for level := stdgzip.HuffmanOnly; level <= stdgzip.BestCompression; level++ {
		add(fmt.Sprintf("compress/gzip %d", level), compressed(tb, stdWriter(level), content))
	}
	for level := gzip.StatelessCompression; level <= gzip.BestCompression; level++ {
		add(fmt.Sprintf("klauspost %d", level), compressed(tb, klauspostWriter(level), content))
	}
	add("nothing", nil)
	add("a member of nothing", compressed(tb, stdWriter(6), nil))
	add("a small one", compressed(tb, stdWriter(6), []byte("a")))
	add("a fixed block", compressed(tb, stdWriter(6), []byte("flatten, flatten, flatten")))
	add("zeros", compressed(tb, stdWriter(9), make([]byte, 200_000)))
	add("long codes", compressed(tb, stdWriter(stdgzip.HuffmanOnly), fibonacci()))
	add("flushes", flushed(tb, content))
	add("a full header", fullHeader(tb, content[:1000]))
	one, none, two := compressed(tb, stdWriter(6), content[:70_000]), compressed(tb, stdWriter(0), nil), fullHeader(tb, content[70_000:])
	add("members", slices.Concat(one, two, one))
	add("members, and some of nothing", slices.Concat(none, one, none, none, two, none))
	short := shortEnd(tb, content[:20_000])
	add("members whose last blocks are small", slices.Concat(short, short, one))
	add("matches from 32 KiB back", farthest())
	add("a second header cut off", slices.Concat(one, two[:5]))
	add("something behind", slices.Concat(one, []byte("something else")))
	add("padding", slices.Concat(one, make([]byte, 10_240)))
	add("a footer cut off", one[:len(one)-3])
	add("cut off", one[:len(one)/2])
	add("another checksum", changed(one, len(one)-8))
	add("another length", changed(one, len(one)-1))
	add("another byte", changed(one, len(one)/2))
	return all
}

// mixture is some 110 kB: words, noise, runs of several periods, and repeats
// from just as far back as can be and from one byte farther.
func mixture() []byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = "acgt"[rnd.IntN(4)] + byte(i%97/96*rnd.IntN(256))
		}
		return b
	}
	var b bytes.Buffer
	far := noise(400)
	b.Write(far)
	b.Write(noise(32<<10 - len(far)))
	b.Write(far)
	b.Write(noise(32<<10 + 1 - len(far)))
	b.Write(far)
	for period := 1; period < 40; period++ {
		b.Write(bytes.Repeat(noise(period), 1+600/period))
	}
	words := make([][]byte, 500)
	for i := range words {
		words[i] = make([]byte, 1+rnd.IntN(12))
		for j := range words[i] {
			words[i][j] = byte(rnd.Uint32())
		}
	}
	for b.Len() < 110_000 {
		b.Write(words[int(rnd.ExpFloat64()*60)%len(words)])
	}
	return b.Bytes()
}

// fibonacci has symbols of such frequencies that their codes are as long as
// codes can be.
func fibonacci() []byte {
	var b []byte
	for i, n, m := 0, 1, 1; i < 18; i, n, m = i+1, m, n+m {
		b = append(b, bytes.Repeat([]byte{byte(i)}, n)...)
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(b), func(i, j int) { b[i], b[j] = b[j], b[i] })
	return b
}

// flushed has an end of a block after every 5,000 bytes, and many where there
// is nothing between.
func flushed(tb testing.TB, content []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	z := stdgzip.NewWriter(&b)
	for part := range slices.Chunk(content, 5000) {
		_, err := z.Write(part)
		for range 3 {
			err = errors.Join(err, z.Flush())
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// foreignName is a name that must not get through.
const foreignName = "name of another tool's"

// shortEnd has ten bytes in its last block.
func shortEnd(tb testing.TB, content []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	z := stdgzip.NewWriter(&b)
	z.Name = foreignName
	_, err := z.Write(content[10:])
	err = errors.Join(err, z.Flush())
	if _, last := z.Write(content[:10]); err != nil || last != nil {
		tb.Fatal(err, last)
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// farthest is 32 KiB, and then nothing but matches of just that distance, far
// beyond what any buffer holds.
func farthest() []byte {
	var b blocks
	lit, dist := fixedCodes()
	b.head(true, 1)
	for i := range 32 << 10 {
		b.symbol(lit, i%251)
	}
	for range 1000 {
		b.symbol(lit, 285)
		b.symbol(dist, 29)
		b.put(1<<13-1, 13)
	}
	b.symbol(lit, 256)
	blob, _ := memberOf(b.out)
	return blob
}

// fullHeader has everything in its header that RFC 1952 knows.
func fullHeader(tb testing.TB, content []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	z := stdgzip.NewWriter(&b)
	z.Extra, z.Name, z.Comment, z.OS, z.ModTime = make([]byte, 700), "näme", "comment", 3, time.Unix(1, 0)
	if _, err := z.Write(content); err != nil {
		tb.Fatal(err)
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	// The standard library writes no checksum of the header: put one in.
	const header = 10 + 2 + 700 + 5 + 8
	blob := b.Bytes()
	blob[3] |= 2
	crc := binary.LittleEndian.AppendUint16(nil, uint16(crc32.ChecksumIEEE(blob[:header])))
	return slices.Insert(blob, header, crc...)
}

func changed(blob []byte, at int) []byte {
	blob = bytes.Clone(blob)
	blob[at] ^= 0x55
	return blob
}
