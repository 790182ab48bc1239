package digests_test

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"math/rand/v2"
	"testing"

	"laminate/flatten/layer/digests"
)

// plain is a hash that cannot be marshaled.
type plain struct{ hash.Hash }

func random(n int) []byte {
	p := make([]byte, n)
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range p {
		p[i] = byte(rnd.Uint32())
	}
	return p
}

// TestWrite writes parts of all kinds of lengths to hashes that have begun at different places, and
// compares the digests with those of the standard library.
func TestWrite(t *testing.T) {
	content := random(1 << 20)
	lengths := []int{0, 1, 63, 64, 65, 512, 4095, 4096, 4097, 4160, 8192, 65536, 65537, 300_000}
	for _, before := range []int{0, 1, 63, 64, 512, 1000, 1024} {
		for _, first := range lengths {
			for _, second := range lengths {
				a, b := sha256.New(), sha256.New()
				b.Write(content[:before])
				digests.Write(a, b, content[before:][:first])
				digests.Write(b, a, content[before+first:][:second])
				end := before + first + second
				if got, want := [32]byte(a.Sum(nil)), sha256.Sum256(content[before:end]); got != want {
					t.Fatalf("%d+%d bytes: the digest is %x, want %x", first, second, got, want)
				}
				if got, want := [32]byte(b.Sum(nil)), sha256.Sum256(content[:end]); got != want {
					t.Fatalf("%d+%d bytes after %d: the digest is %x, want %x", first, second, before, got, want)
				}
			}
		}
	}
}

// TestWriteOther hashes what cannot be marshaled, and what is no SHA-256.
func TestWriteOther(t *testing.T) {
	content := random(100_000)
	for name, b := range map[string]func() hash.Hash{
		"plain": func() hash.Hash { return plain{sha256.New()} },
		"224":   sha256.New224,
	} {
		got, also, want, wantAlso := b(), sha256.New(), b(), sha256.New()
		digests.Write(got, also, content)
		want.Write(content)
		wantAlso.Write(content)
		if string(got.Sum(nil)) != string(want.Sum(nil)) || string(also.Sum(nil)) != string(wantAlso.Sum(nil)) {
			t.Errorf("%s: the digests differ", name)
		}
	}
}

// FuzzWrite is TestWrite with content and lengths of all kinds.
func FuzzWrite(f *testing.F) {
	f.Add(random(20_000), uint16(64), uint16(5000))
	f.Fuzz(func(t *testing.T, content []byte, before, first uint16) {
		for len(content) > 0 && len(content) < 10_000 {
			content = append(content, content...)
		}
		x := min(int(before), len(content))
		y := min(x+int(first), len(content))
		a, b := sha256.New(), sha256.New()
		a.Write(content[:x])
		digests.Write(a, b, content[x:y])
		digests.Write(a, b, content[y:])
		if [32]byte(a.Sum(nil)) != sha256.Sum256(content) || [32]byte(b.Sum(nil)) != sha256.Sum256(content[x:]) {
			t.Error("the digests differ")
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	for _, n := range []int{4 << 10, 64 << 10, 1 << 20} {
		content := random(n)
		for name, write := range map[string]func(x, y hash.Hash){
			"at once":    func(x, y hash.Hash) { digests.Write(x, y, content) },
			"one by one": func(x, y hash.Hash) { x.Write(content); y.Write(content) },
			"only one":   func(x, _ hash.Hash) { x.Write(content) },
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				x, y := sha256.New(), sha256.New()
				b.SetBytes(int64(n))
				for b.Loop() {
					write(x, y)
				}
			})
		}
	}
}
