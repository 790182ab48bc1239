package source_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"runtime"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/stream"
)

var _ = DescribeTable("a small file that unpacks to very much is refused before any of it is unpacked",
	func(why string, make func() []byte) {
		o := opener()
		start := time.Now()
		Expect(openError(o, file("x", make()))).To(MatchError(ContainSubstring(why)))
		Expect(time.Since(start)).To(BeNumerically("<", 5*time.Second))
		Expect(diskUse(o.WorkDir)).To(BeNumerically("<", 1<<20))
	},
	Entry("a sparse file of GNU's old format", "exceeds 1000 times the compressed size", func() []byte { return sparse("hole", 7<<30, "data") }),
	Entry("the same in a tgz", "exceeds 1000 times the compressed size", func() []byte { return packed(layer.Gzip, sparse("hole", 7<<30, "data")) }),
	Entry("sparse files that are too large together", "exceeds 1000 times the compressed size", func() []byte {
		var all []byte
		for i := range 70 {
			all = append(all, sparseHead(fmt.Sprint("hole", i), 100<<20, "data")...)
		}
		return packed(layer.Gzip, append(all, tarOf(component("acme/a").entries()...)...))
	}),
	Entry("a sparse file of PAX 0.1", `exceeds 1000 times the compressed size; reached at entry "hole"`, func() []byte {
		return packed(layer.Gzip, sparsePAX("data", "GNU.sparse.size", "16106127360", "GNU.sparse.numblocks", "1", "GNU.sparse.map", "16106127356,4"))
	}),
	Entry("a sparse file of PAX 1.0", "exceeds 1000 times the compressed size", func() []byte {
		table := "1\n16106127356\n4\n"
		return packed(layer.Gzip, sparsePAX(table+strings.Repeat("\x00", 512-len(table))+"data",
			"GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.name", "hole", "GNU.sparse.realsize", "16106127360"))
	}),
	Entry("a sparse file beyond the limit of bytes", "exceeds the limit of 17179869184 bytes", func() []byte {
		return packed(layer.Gzip, sparsePAX("data", "GNU.sparse.size", "9223372036854775807", "GNU.sparse.numblocks", "1", "GNU.sparse.map", "9223372036854775803,4"))
	}),
	Entry("entries of a zip file that share all bytes", `entries "0" and "1" share bytes`, func() []byte { return overlapping(false, 2) }),
	Entry("entries of a zip file that quote the headers of others", `share bytes`, func() []byte { return overlapping(true, 200) }),
)

var _ = Describe("a zip file", func() {
	It("may have bytes before the first entry, entries without content, and any order", func() {
		files := []zip.FileHeader{{Name: "empty-file"}, {Name: "buildpack.toml", Method: zip.Deflate}, {Name: "dir/"}, {Name: "other"}}
		data := append([]byte("PK\x03\x04 is no entry"), zipOf(files, []string{"", descriptor("acme/a"), "", "other"})...)
		open(opener(), file("x.zip", data), flatten.Target{})
	})

	It("may have as many entries as the limit", func() {
		headers, bodies := []zip.FileHeader{{Name: "buildpack.toml"}}, []string{descriptor("acme/a")}
		for i := range 2999 {
			headers, bodies = append(headers, zip.FileHeader{Name: fmt.Sprint(i)}), append(bodies, "")
		}
		o, p := opener(), file("x.zip", zipOf(headers, bodies))
		o.Limits = stream.Limits{Entries: 3000}
		open(o, p, flatten.Target{})
		o = opener()
		o.Limits = stream.Limits{Entries: 2999}
		Expect(openError(o, p)).To(MatchError(ContainSubstring("too many entries; the limit is 2999")))
	})

	It("of millions of entries takes no memory for them, whatever count it claims", func() {
		// A directory of headers alone, which claims to have as many as a count
		// of 16 bits can tell.
		header := make([]byte, 47)
		copy(header, "PK\x01\x02")
		header[28], header[46] = 1, 'x'
		const n = 1_500_000
		data := bytes.Repeat(header, n)
		end := make([]byte, 22)
		copy(end, "PK\x05\x06")
		binary.LittleEndian.PutUint16(end[8:], n&0xffff)
		binary.LittleEndian.PutUint16(end[10:], n&0xffff)
		binary.LittleEndian.PutUint32(end[12:], uint32(len(data)))
		binary.LittleEndian.PutUint32(end[16:], 4)
		p := file("x.zip", bytes.Join([][]byte{[]byte("PK\x03\x04"), data, end}, nil))
		o := opener()
		o.Limits = stream.Limits{Entries: 100_000}
		Expect(allocated(func() {
			Expect(openError(o, p)).To(MatchError(ContainSubstring("too many entries; the limit is 100000")))
		})).To(BeNumerically("<", 150<<20))
	})
})

// allocated returns how many bytes were allocated meanwhile, those that were
// freed included.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// sparsePAX is a buildpack's tar with a sparse file, hole, of these PAX records.
func sparsePAX(body string, records ...string) []byte {
	var extended strings.Builder
	for i := 0; i < len(records); i += 2 {
		record := " " + records[i] + "=" + records[i+1] + "\n"
		n := len(record) + 2
		for len(fmt.Sprint(n))+len(record) != n {
			n++
		}
		fmt.Fprint(&extended, n, record)
	}
	head := tarOf(regular("records", extended.String()), regular("hole", body))
	head[156] = tar.TypeXHeader
	copy(head[148:156], "        ")
	sum := 0
	for _, b := range head[:512] {
		sum += int(b)
	}
	copy(head[148:], fmt.Sprintf("%06o\x00 ", sum))
	return append(head[:len(head)-1024], tarOf(component("acme/a").entries()...)...)
}

// overlapping is a zip file of a buildpack and n entries that end with the same
// bytes. Either they have one header, or each has its own, which is content of
// those before it.
func overlapping(quoting bool, n int) []byte {
	toml := zipOf([]zip.FileHeader{{Name: "buildpack.toml"}}, []string{descriptor("acme/a")})
	directory, ends := bytes.Index(toml, []byte("PK\x01\x02")), len(toml)-22
	var body []byte
	at := make([]int, n)
	for i := range n {
		if i == 0 || quoting {
			at[i] = len(body)
			body = append(body, localHeader(fmt.Sprint(i))...)
		}
	}
	body = append(body, strings.Repeat("0", 1<<10)...)
	central := bytes.Clone(toml[directory:ends])
	for i := range n {
		content := body[at[i]+len(localHeader(fmt.Sprint(i))):]
		central = append(central, centralHeader(fmt.Sprint(i), content, directory+at[i])...)
	}
	end := bytes.Clone(toml[ends:])
	binary.LittleEndian.PutUint16(end[8:], uint16(n+1))
	binary.LittleEndian.PutUint16(end[10:], uint16(n+1))
	binary.LittleEndian.PutUint32(end[12:], uint32(len(central)))
	binary.LittleEndian.PutUint32(end[16:], uint32(directory+len(body)))
	return bytes.Join([][]byte{toml[:directory], body, central, end}, nil)
}

func localHeader(name string) []byte {
	h := make([]byte, 30)
	copy(h, "PK\x03\x04")
	binary.LittleEndian.PutUint16(h[26:], uint16(len(name)))
	return append(h, name...)
}

func centralHeader(name string, content []byte, at int) []byte {
	h := make([]byte, 46)
	copy(h, "PK\x01\x02")
	binary.LittleEndian.PutUint32(h[16:], crc32.ChecksumIEEE(content))
	binary.LittleEndian.PutUint32(h[20:], uint32(len(content)))
	binary.LittleEndian.PutUint32(h[24:], uint32(len(content)))
	binary.LittleEndian.PutUint16(h[28:], uint16(len(name)))
	binary.LittleEndian.PutUint32(h[42:], uint32(at))
	return append(h, name...)
}
