package inflate_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"laminate/flatten/layer/inflate"
)

// stdRead is what the standard library makes of a stream.
func stdRead(blob []byte) ([]byte, error) {
	z, err := stdgzip.NewReader(bytes.NewReader(blob))
	if errors.Is(err, io.EOF) {
		return nil, nil // No member at all is a stream to it, too, once it is at its end.
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// A cutting is a way to use a Cutter: which parts to read, and when to tell
// what is to be kept. The zero value reads all at once and keeps nothing early.
type cutting struct {
	part  int // the most that is read at once
	every int // how many reads there are between two calls of Keep
	lag   int // how much less is kept than was read
	slow  bool
}

// cut returns the stream of the first n bytes of the content.
func (how cutting) cut(blob []byte, n int) ([]byte, error) {
	var r io.Reader = bytes.NewReader(blob)
	if how.slow {
		r = iotest.OneByteReader(r)
	}
	c := inflate.NewCutter(r)
	part := how.part
	if part == 0 {
		part = max(n, 1)
	}
	p := make([]byte, part)
	var out []byte
	for read, reads := 0, 1; read < n; reads++ {
		k, err := c.Read(p[:min(part, n-read)])
		if err != nil {
			return nil, fmt.Errorf("after %d bytes: %w", read, err)
		}
		read += k
		if how.every > 0 && reads%how.every == 0 {
			b, err := c.Keep(int64(max(0, read-how.lag)))
			if err != nil {
				return nil, err
			}
			out = append(out, b...)
		}
	}
	b, err := c.End(int64(n))
	return append(out, b...), err
}

// checkCut cuts in several ways, which must give the same, and reads it again.
func checkCut(t testing.TB, blob, content []byte, n int, ways ...cutting) []byte {
	t.Helper()
	first, err := cutting{}.cut(blob, n)
	if err != nil {
		t.Fatalf("cut after %d of %d: %v", n, len(content), err)
	}
	again, err := stdRead(first)
	if err != nil || !bytes.Equal(again, content[:n]) {
		t.Fatalf("cut after %d of %d: %d bytes, %v", n, len(content), len(again), err)
	}
	if (n == 0) != (len(first) == 0) {
		t.Fatalf("%d bytes of content make a stream of %d", n, len(first))
	}
	for _, how := range ways {
		out, err := how.cut(blob, n)
		if err != nil || !bytes.Equal(out, first) {
			t.Fatalf("cut after %d of %d by %+v gives something else: %v", n, len(content), how, err)
		}
	}
	return first
}

// Whatever a stream is, what the standard library takes is taken, with the same
// content; and it can be cut anywhere, whatever was kept before.
func FuzzCutter(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.blob, uint64(len(s.blob)))
	}
	f.Fuzz(func(t *testing.T, blob []byte, seed uint64) {
		want, wantErr := stdRead(blob)
		for _, r := range []io.Reader{bytes.NewReader(blob), iotest.OneByteReader(bytes.NewReader(blob))} {
			got, err := io.ReadAll(inflate.NewCutter(r))
			if (err == nil) != (wantErr == nil) {
				t.Fatalf("%v, but %v", err, wantErr)
			}
			if short := min(len(got), len(want)); !bytes.Equal(got[:short], want[:short]) || err == nil && len(got) != len(want) {
				t.Fatalf("%d bytes, not %d, or others", len(got), len(want))
			}
			want = want[:min(len(got), len(want))]
		}
		// What is before an error can be cut as well.
		rnd := rand.New(rand.NewPCG(seed, 0))
		for range 3 {
			n := rnd.IntN(len(want) + 1)
			checkCut(t, blob, want, n, cutting{part: 1 + rnd.IntN(1<<rnd.IntN(18)), every: 1 + rnd.IntN(3), lag: rnd.IntN(1 << rnd.IntN(18)), slow: len(blob) < 1000})
		}
		checkCut(t, blob, want, len(want), cutting{part: 1 + rnd.IntN(1<<12), every: 1})
	})
}

// Nearly nothing that a fuzzer makes has the right checksum, so that it sees
// little of what is accepted: here the checksum is put right.
func FuzzDeflate(f *testing.F) {
	for _, s := range samples(f) {
		if len(s.blob) > 10 {
			f.Add(s.blob[10:], uint64(len(s.blob)))
		}
	}
	for seed := range uint64(30) {
		f.Add(random(rand.New(rand.NewPCG(seed, 0))), seed)
	}
	f.Fuzz(func(t *testing.T, deflate []byte, seed uint64) {
		blob, content := memberOf(deflate)
		if blob == nil {
			garbage := append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}, deflate...)
			if n, err := io.Copy(io.Discard, inflate.NewCutter(bytes.NewReader(garbage))); err == nil {
				t.Fatalf("%d bytes of content of what has none", n)
			}
			return
		}
		got, err := io.ReadAll(inflate.NewCutter(bytes.NewReader(blob)))
		if err != nil || !bytes.Equal(got, content) {
			t.Fatalf("%d bytes, not %d, or others: %v", len(got), len(content), err)
		}
		rnd := rand.New(rand.NewPCG(seed, 0))
		checkCut(t, blob, content, rnd.IntN(len(content)+1), cutting{part: 1 + rnd.IntN(1<<rnd.IntN(18)), every: 1, slow: len(blob) < 1000})
	})
}
