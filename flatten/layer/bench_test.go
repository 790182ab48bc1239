package layer_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/flatten/layer"
)

// verse is n bytes with about the redundancy of an executable: words of
// unequal length and frequency, some noise, some zeros.
func verse(n int) string {
	rnd := rand.New(rand.NewPCG(1, 2))
	words := make([][]byte, 4096)
	for i := range words {
		words[i] = make([]byte, 2+rnd.IntN(14))
		for j := range words[i] {
			words[i][j] = byte(rnd.Uint32())
		}
	}
	var b bytes.Buffer
	for b.Len() < n {
		switch k := rnd.IntN(40); {
		case k == 0:
			b.Write(make([]byte, rnd.IntN(60)))
		case k < 9:
			b.WriteByte(byte(rnd.Uint32()))
		default:
			b.Write(words[int(rnd.ExpFloat64()*400)%len(words)])
		}
	}
	return b.String()[:n]
}

const benchSize = 64 << 20

// executables are 16 files of some 4 MiB each.
func executables() []layer.File {
	content := verse(benchSize)
	var files []layer.File
	for i := range 16 {
		files = append(files, regular("bin/"+string(rune('a'+i)), content[i*benchSize/16:(i+1)*benchSize/16], 0o755))
	}
	return files
}

func benchMember(b *testing.B, r flatten.Ref, files []layer.File) layer.Member {
	piece, err := layer.NormalForm(flatten.Buildpack, r, "here", files)
	if err != nil {
		b.Fatal(err)
	}
	return layer.Member{Ref: r, Piece: piece}
}

// benchMembers are four pieces of four files each.
func benchMembers(b *testing.B) []layer.Member {
	files := executables()
	var members []layer.Member
	for i, id := range []string{"a", "b", "c", "d"} {
		members = append(members, benchMember(b, flatten.Ref{ID: id, Version: "1"}, files[4*i:4*i+4]))
	}
	return members
}

func benchRefs(members []layer.Member) (refs []flatten.Ref) {
	for _, m := range members {
		refs = append(refs, m.Ref)
	}
	return refs
}

func benchBuild(b *testing.B, c layer.Compression, path string, members ...layer.Member) *layer.Built {
	built, err := layer.Build(context.Background(), members, layer.BuildOptions{Kind: flatten.Buildpack, Compression: c, Path: path})
	if err != nil {
		b.Fatal(err)
	}
	return built
}

// benchBuilding builds a layer again and again. What is needed besides hashing,
// which the tar is, pieces and layer at once, and the blob, n tells.
func benchBuilding(b *testing.B, c layer.Compression, n need, members ...layer.Member) {
	path := filepath.Join(b.TempDir(), "layer")
	again := func() float64 {
		size, _ := benchBuild(b, c, path, members...).Size()
		if err := os.Remove(path); err != nil {
			b.Fatal(err)
		}
		return float64(size) / benchSize
	}
	share := again()
	n[hashing] = 1 + share
	floor := n.floor(b)
	b.SetBytes(benchSize)
	b.ReportAllocs()
	began := cpuTime()
	for b.Loop() {
		again()
	}
	distance(b, floor, began)
	b.ReportMetric(100*share, "%size")
}

func BenchmarkBuild(b *testing.B) {
	members := benchMembers(b)
	b.Run("gzip", func(b *testing.B) { benchBuilding(b, layer.Gzip, need{deflating: 1}, members...) })
	b.Run("zstd", func(b *testing.B) { benchBuilding(b, layer.Zstd, need{encoding: 1}, members...) })
}

// BenchmarkSplice joins pieces as they were compressed: by laminate, each in a
// layer of its own, whose label says how long it is; and by another tool, in
// one gzip member each, of which nothing is known.
func BenchmarkSplice(b *testing.B) {
	for _, c := range []layer.Compression{layer.Gzip, layer.Zstd} {
		part := inflating
		if c == layer.Zstd {
			part = decoding
		}
		b.Run("laminate-"+string(c), func(b *testing.B) {
			members := benchMembers(b)
			for i, m := range members {
				lone := benchBuild(b, c, filepath.Join(b.TempDir(), "lone"), m)
				p := lone.Pieces[0]
				members[i].Splice = &layer.Splice{ContentID: p.ContentID, Length: p.Length, Compression: c, Open: opens(read(b, lone.Compressed))}
			}
			benchBuilding(b, c, need{part: 1}, members...)
		})
	}
	b.Run("foreign-gzip", func(b *testing.B) {
		members := benchMembers(b)
		for i, m := range members {
			tar := read(b, benchBuild(b, layer.Gzip, filepath.Join(b.TempDir(), "lone"), m).Uncompressed)
			id := sha256.Sum256(tar)
			members[i].Splice = &layer.Splice{
				ContentID: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(id[:])}, Compression: layer.Gzip,
				Open: opens(stdGzip(tar, stdgzip.DefaultCompression)),
			}
		}
		benchBuilding(b, layer.Gzip, need{inflating: 1}, members...)
	})
}

func read(b *testing.B, open func() (io.ReadCloser, error)) []byte {
	rc, err := open()
	if err != nil {
		b.Fatal(err)
	}
	defer rc.Close()
	content, err := io.ReadAll(rc)
	if err != nil {
		b.Fatal(err)
	}
	return content
}

func BenchmarkInspect(b *testing.B) {
	members := benchMembers(b)
	built := benchBuild(b, layer.Gzip, filepath.Join(b.TempDir(), "layer"), members...)
	floor := need{inflating: 1, hashing: 1}.floor(b)
	b.SetBytes(benchSize)
	b.ReportAllocs()
	began := cpuTime()
	for b.Loop() {
		if _, err := layer.Inspect(context.Background(), flatten.Buildpack, benchRefs(members), built.Open); err != nil {
			b.Fatal(err)
		}
	}
	distance(b, floor, began)
}

// BenchmarkSplit takes a layer apart, by way of a spool: the floor knows
// nothing of that.
func BenchmarkSplit(b *testing.B) {
	members := benchMembers(b)
	built := benchBuild(b, layer.Gzip, filepath.Join(b.TempDir(), "layer"), members...)
	floor := need{inflating: 1}.floor(b)
	b.SetBytes(benchSize)
	b.ReportAllocs()
	began := cpuTime()
	for b.Loop() {
		pieces := fromShared(flatten.Buildpack, benchRefs(members), "here", b.TempDir(), built.Open)
		for _, m := range members {
			if err := pieces[m.Ref].WriteEntries(context.Background(), io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	}
	distance(b, floor, began)
}
