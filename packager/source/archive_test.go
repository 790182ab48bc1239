package source_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/stream"
)

// with is a buildpack's tar and more.
func with(more ...entry) []byte {
	return tarOf(append(component("acme/a").entries(), more...)...)
}

func regular(name, body string) entry {
	return entry{Header: tar.Header{Name: name, Mode: 0o644}, body: body}
}

func special(name string, flag byte, link string) entry {
	return entry{Header: tar.Header{Name: name, Typeflag: flag, Linkname: link, Mode: 0o644}}
}

var _ = DescribeTable("an archive that is bad gives one clear error, and leaves nothing open",
	func(why string, make func() []byte) {
		data := make()
		before := openFiles()
		for name, p := range map[string]string{
			"plain":      file("x.tar", data),
			"compressed": file("x.tgz", packed(layer.Gzip, data)),
		} {
			Expect(openError(opener(), p)).To(MatchError(ContainSubstring(why)), name)
		}
		Expect(openFiles()).To(Equal(before))
	},
	Entry("a path that leads out", `"../evil" leads out`, func() []byte { return with(regular("../evil", "x")) }),
	Entry("a path that leads out within", `"a/../../evil" leads out`, func() []byte { return with(regular("a/../../evil", "x")) }),
	Entry("an absolute path", `"/etc/passwd" has an absolute name`, func() []byte { return with(regular("/etc/passwd", "x")) }),
	Entry("a hard link that leads out", "evil is a hard link out of the archive, to ../../etc/shadow", func() []byte { return with(special("evil", tar.TypeLink, "../../etc/shadow")) }),
	Entry("a hard link to what is not there", "evil is a hard link to etc/shadow", func() []byte { return with(special("evil", tar.TypeLink, "etc/shadow")) }),
	Entry("a hard link to an absolute path", "evil is a hard link to /etc/shadow", func() []byte { return with(special("evil", tar.TypeLink, "/etc/shadow")) }),
	Entry("a hard link to a directory", "evil is a hard link to empty", func() []byte { return with(special("evil", tar.TypeLink, "empty")) }),
	Entry("a character device", "null is a device", func() []byte { return with(special("null", tar.TypeChar, "")) }),
	Entry("a block device", "sda is a device", func() []byte { return with(special("sda", tar.TypeBlock, "")) }),
	Entry("a fifo", "pipe is a fifo", func() []byte { return with(special("pipe", tar.TypeFifo, "")) }),
	Entry("a type that nobody knows", `odd is of type 'X'`, func() []byte { return with(special("odd", 'X', "")) }),
	Entry("a file twice", "duplicate path bin-x", func() []byte { return with(regular("bin-x", "another")) }),
	Entry("a file twice, called otherwise", "duplicate path bin-x", func() []byte { return with(regular("././bin-x", "another")) }),
	Entry("a file where a directory is", "duplicate path data", func() []byte { return with(special("data/", tar.TypeDir, ""), regular("data", "x")) }),
	Entry("a file below a file", "bin-x/below is below bin-x", func() []byte { return with(regular("bin-x/below", "x")) }),
	Entry("a name that is too long", "more than 4096 bytes", func() []byte { return with(regular(strings.Repeat("x/", 3000)+"x", "x")) }),
	Entry("a path that is too deep", "more than 256 components", func() []byte { return with(regular(strings.Repeat("x/", 256)+"x", "x")) }),
	Entry("cut off within a file", "unexpected EOF", func() []byte { return with(regular("big", strings.Repeat("x", 4000)))[:len(with())] }),
	Entry("cut off between files", "missing end", func() []byte { return with()[:len(with())-1024] }),
	Entry("a damaged header", "reading tar", func() []byte {
		data := with()
		data[1024+148] ^= 1
		return data
	}),
)

var _ = Describe("an archive", func() {
	It("reports all that is wrong with it at once", func() {
		p := file("x.tar", with(regular("../evil", ""), special("null", tar.TypeChar, ""), regular("bin-x", "")))
		Expect(openError(opener(), p)).To(MatchError(And(ContainSubstring("evil"), ContainSubstring("null"), ContainSubstring("bin-x"))))
	})

	It("may have a directory twice, and no entry for one at all", func() {
		entries := append(component("acme/a").entries(), special("bin/", tar.TypeDir, ""), special("bin", tar.TypeDir, ""))
		p := file("x.tgz", packed(layer.Gzip, tarOf(entries...)))
		Expect(listing(open(opener(), p, flatten.Target{}).Modules[0].Piece)).To(Equal(want("acme/a")))
	})

	It("may have hard links", func() {
		p := file("x.tgz", packed(layer.Gzip, with(special("z", tar.TypeLink, "./bin-x"), special("zz", tar.TypeLink, "z"))))
		Expect(listing(open(opener(), p, flatten.Target{}).Modules[0].Piece)).To(ContainElements(
			`0 644 /cnb/buildpacks/acme_a/1.0.0/bin-x  "beside bin"`,
			`1 644 /cnb/buildpacks/acme_a/1.0.0/z /cnb/buildpacks/acme_a/1.0.0/bin-x ""`,
			`1 644 /cnb/buildpacks/acme_a/1.0.0/zz /cnb/buildpacks/acme_a/1.0.0/bin-x ""`,
		))
	})

	It("may have files with holes", func() {
		// GNU tar's old format: ten zeros, then "data", stored as the latter alone.
		for _, c := range []layer.Compression{layer.Uncompressed, layer.Gzip} {
			p := file("x.tar", packed(c, sparse("bin-hole", 10, "data")))
			Expect(listing(open(opener(), p, flatten.Target{}).Modules[0].Piece)).To(ContainElement(
				`0 644 /cnb/buildpacks/acme_a/1.0.0/bin-hole  "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00data"`))
		}
	})

	It("may have the label and the directories of GNU tar, and a global comment, which are no files", func() {
		comment := entry{Header: tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "a commit"}}}
		data := tarOf(append([]entry{special("a label", 'V', ""), comment, special("./", 'D', ""), special("./bin/", 'D', "")}, component("acme/a").entries()...)...)
		for _, c := range []layer.Compression{layer.Uncompressed, layer.Gzip} {
			p := file("x", packed(c, data))
			Expect(listing(open(opener(), p, flatten.Target{}).Modules[0].Piece)).To(Equal(want("acme/a")))
		}
	})

	It("must not set what entries are in a global header, nor begin in another volume", func() {
		global := entry{Header: tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"path": "evil"}}}
		Expect(openError(opener(), file("x", with(global)))).To(MatchError(ContainSubstring("unsupported global pax header: it sets path")))
		Expect(openError(opener(), file("x", with(special("rest", 'M', ""))))).To(MatchError(ContainSubstring("rest begins in another volume")))
	})

	It("may be padded with zeros, as what was on a tape is", func() {
		for _, data := range [][]byte{with(), packed(layer.Gzip, with())} {
			p := file("x", append(data, make([]byte, 10_240-len(data)%10_240)...))
			Expect(listing(open(opener(), p, flatten.Target{}).Modules[0].Piece)).To(Equal(want("acme/a")))
			tars, err := opener().Tars(context.Background(), path(p), amd64, func(string) bool { return true })
			Expect(err).NotTo(HaveOccurred())
			r, err := tars[0](context.Background())
			Expect(err).NotTo(HaveOccurred())
			_, err = io.Copy(io.Discard, r)
			Expect(errors.Join(err, r.Close())).To(Succeed())
		}
	})

	DescribeTable("that is damaged or cut off is told so",
		func(why string, make func() []byte) {
			before := openFiles()
			Expect(openError(opener(), file("x", make()))).To(MatchError(ContainSubstring(why)))
			Expect(openFiles()).To(Equal(before))
		},
		Entry("empty", "empty file", func() []byte { return nil }),
		Entry("anything", "unknown kind of archive; use tar, plain or compressed with gzip or zstd, or zip", func() []byte { return bytes.Repeat([]byte("anything "), 500) }),
		Entry("short", "unknown kind of archive; use tar", func() []byte { return []byte("#!/bin/sh") }),
		Entry("xz", "unsupported compression xz; use tar, plain or compressed with gzip or zstd, or zip", func() []byte { return []byte("\xfd7zXZ\x00rest") }),
		Entry("bzip2", "unsupported compression bzip2; use tar", func() []byte { return []byte("BZh91AY&SYrest") }),
		Entry("7z", "unsupported archive of kind 7z; use tar", func() []byte { return []byte("7z\xbc\xaf\x27\x1c\x00\x04") }),
		Entry("rar", "unsupported archive of kind rar; use tar", func() []byte { return []byte("Rar!\x1a\x07\x01\x00") }),
		Entry("a Debian package", "unsupported archive of kind ar (.deb, .a); use tar", func() []byte { return []byte("!<arch>\ndebian-binary   ") }),
		Entry("gzip, cut off", "unexpected EOF", func() []byte { d := packed(layer.Gzip, with()); return d[:len(d)-9] }),
		Entry("gzip, cut off in its trailer", "unexpected EOF", func() []byte { d := packed(layer.Gzip, with()); return d[:len(d)-1] }),
		Entry("gzip, with something behind", "14 bytes after its end that are not gzip", func() []byte { return append(packed(layer.Gzip, with()), "something else"...) }),
		Entry("gzip, damaged checksum", "invalid checksum", func() []byte { d := packed(layer.Gzip, with()); d[len(d)-5] ^= 1; return d }),
		Entry("zstd, cut off", "unexpected EOF", func() []byte { d := packed(layer.Zstd, with()); return d[:len(d)-9] }),
		Entry("zip, cut off", "zip", func() []byte { d := component("acme/a").zip(); return d[:len(d)-30] }),
		Entry("zip, damaged content", "checksum", func() []byte {
			h := zip.FileHeader{Name: "buildpack.toml", Method: zip.Store}
			d := zipOf([]zip.FileHeader{h}, []string{descriptor("acme/a")})
			d[60] ^= 1
			return d
		}),
	)

	It("that is plain must not change while it is read", func() {
		p := file("x.tar", with())
		m := open(opener(), p, flatten.Target{}).Modules[0]
		Expect(os.WriteFile(p, with(regular("more", "more")), 0o644)).To(Succeed())
		_, err := tryListing(m.Piece)
		Expect(err).To(MatchError(And(ContainSubstring(p), ContainSubstring("changed while being read"))))
	})

	It("that is compressed is read no second time", func() {
		o, p := opener(), file("x.tgz", packed(layer.Gzip, with()))
		first := open(o, p, amd64).Modules[0]
		Expect(os.Remove(p)).To(Succeed())
		Expect(os.WriteFile(p, nil, 0o644)).To(Succeed())
		Expect(listing(open(o, p, arm64).Modules[0].Piece)).To(Equal(listing(first.Piece)))
	})

	It("stops when it is told to", func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		for _, p := range []string{component("acme/a").dir(), file("x.tgz", packed(layer.Gzip, with())), file("x.zip", component("acme/a").zip())} {
			_, err := opener().Package(ctx, path(p), flatten.Buildpack, flatten.Target{})
			Expect(err).To(MatchError(context.Canceled))
		}
	})
})

var _ = DescribeTable("limits hold",
	func(why string, limits stream.Limits, make func() []byte) {
		o := opener()
		p := file("x", make())
		open(opener(), file("y", make()), flatten.Target{}) // fine without
		o.Limits = limits
		start := time.Now()
		Expect(openError(o, p)).To(MatchError(ContainSubstring(why)))
		Expect(time.Since(start)).To(BeNumerically("<", 5*time.Second))
		Expect(diskUse(o.WorkDir)).To(BeNumerically("<", 1<<20))
	},
	Entry("bytes of a tar", "exceeds the limit of 2000 bytes", stream.Limits{Bytes: 2000}, func() []byte { return with(regular("big", strings.Repeat("x", 2000))) }),
	Entry("bytes of a tgz", "exceeds the limit of 100000 bytes", stream.Limits{Bytes: 100000}, func() []byte { return packed(layer.Gzip, with(regular("big", strings.Repeat("x", 100000)))) }),
	Entry("bytes of headers alone", "exceeds the limit of 3000 bytes", stream.Limits{Bytes: 3000}, func() []byte { return packed(layer.Gzip, with()) }),
	Entry("bytes of a zip", "exceeds the limit of 100 bytes", stream.Limits{Bytes: 100}, func() []byte { return component("acme/a").zip() }),
	Entry("entries of a tar", "too many entries; the limit is 4", stream.Limits{Entries: 4}, func() []byte { return with() }),
	Entry("entries of a zip", "too many entries; the limit is 4", stream.Limits{Entries: 4}, func() []byte { return component("acme/a").zip() }),
	Entry("directories that a tar leaves out", "too many entries; the limit is 40", stream.Limits{Entries: 40}, func() []byte { return with(regular(strings.Repeat("x/", 60)+"x", "x")) }),
	Entry("a tar that grows and grows", "exceeds 50 times the compressed size", stream.Limits{Ratio: 50}, func() []byte {
		big := make([]byte, 101<<20)
		for i := 0; i < len(big); i += 512 {
			binary.LittleEndian.PutUint32(big[i:], uint32(i*2654435761))
		}
		return packed(layer.Zstd, with(regular("big", string(big))))
	}),
)

var _ = Describe("a zip file", func() {
	It("from FAT has files that can be executed, as in pack", func() {
		fat := zip.FileHeader{Name: "tool", Method: zip.Deflate, CreatorVersion: 0 << 8}
		toml := zip.FileHeader{Name: "buildpack.toml", Method: zip.Deflate, CreatorVersion: 3 << 8, ExternalAttrs: 0o100644 << 16}
		p := file("x.zip", zipOf([]zip.FileHeader{fat, toml}, []string{"tool", descriptor("acme/a")}))
		Expect(listing(open(opener(), p, flatten.Target{}).Modules[0].Piece)).To(ContainElements(
			`0 755 /cnb/buildpacks/acme_a/1.0.0/tool  "tool"`,
			HavePrefix("0 644 /cnb/buildpacks/acme_a/1.0.0/buildpack.toml"),
		))
	})

	DescribeTable("that is bad gives one clear error",
		func(why string, h zip.FileHeader, body string) {
			toml := zip.FileHeader{Name: "buildpack.toml", Method: zip.Deflate}
			p := file("x.zip", zipOf([]zip.FileHeader{toml, h}, []string{descriptor("acme/a"), body}))
			Expect(openError(opener(), p)).To(MatchError(ContainSubstring(why)))
		},
		Entry("a path that leads out", `"../evil" leads out`, zip.FileHeader{Name: "../evil"}, "x"),
		Entry("an absolute path", "absolute name", zip.FileHeader{Name: "/evil"}, "x"),
		Entry("a path of Windows", "backslashes", zip.FileHeader{Name: `x\evil`}, "x"),
		Entry("a file twice", "duplicate path buildpack.toml", zip.FileHeader{Name: "./buildpack.toml"}, "x"),
		Entry("a device", "null is a device", withMode(zip.FileHeader{Name: "null"}, fs.ModeDevice|fs.ModeCharDevice|0o666), ""),
		Entry("a fifo", "pipe is a fifo", withMode(zip.FileHeader{Name: "pipe"}, fs.ModeNamedPipe|0o666), ""),
		Entry("an encrypted file", "secret is encrypted", zip.FileHeader{Name: "secret", Flags: 1}, "x"),
		Entry("a link that is a book", "too long", withMode(zip.FileHeader{Name: "link"}, fs.ModeSymlink|0o777), strings.Repeat("x", 5000)),
	)

	It("whose sizes lie unpacks to no more than they say", func() {
		noise := make([]byte, 4<<20) // so that the disk would tell
		_, err := rand.Read(noise)
		Expect(err).NotTo(HaveOccurred())
		body := string(noise)
		data := zipOf([]zip.FileHeader{{Name: "buildpack.toml", Method: zip.Deflate}, {Name: "bomb", Method: zip.Deflate}}, []string{descriptor("acme/a"), body})
		// The last central header says that the file has ten bytes.
		at := bytes.LastIndex(data, []byte("PK\x01\x02"))
		binary.LittleEndian.PutUint32(data[at+24:], 10)
		binary.LittleEndian.PutUint32(data[at+16:], crc32.ChecksumIEEE(noise[:10]))
		o := opener()
		Expect(openError(o, file("x.zip", data))).To(MatchError(ContainSubstring("bomb")))
		Expect(diskUse(o.WorkDir)).To(BeNumerically("<", 1<<20))
	})
})

var _ = Describe("names", func() {
	It("of an archive are bounded all together", func() {
		more := func(n int) []byte {
			var all []entry
			for i := range n {
				all = append(all, special(fmt.Sprint("links/", i), tar.TypeSymlink, strings.Repeat("x", 4000)))
			}
			return packed(layer.Zstd, with(all...))
		}
		open(opener(), file("fine", more(1000)), flatten.Target{})
		Expect(openError(opener(), file("x", more(17_000)))).To(MatchError(ContainSubstring("exceed the limit of 67108864 bytes")))
	})

	It("of a directory are counted, too", func() {
		o, dir := opener(), component("acme/a").dir()
		o.Limits = stream.Limits{Entries: 9} // bin, data, empty and six files
		open(o, dir, flatten.Target{})
		Expect(os.Mkdir(filepath.Join(dir, "another"), 0o755)).To(Succeed())
		Expect(openError(o, dir)).To(MatchError(ContainSubstring("too many entries; the limit is 9")))
	})

	It("of directories are counted once, whether they have entries or not", func() {
		o := opener()
		o.Limits = stream.Limits{Entries: 9}
		p := component("acme/a")
		open(o, file("x.tar", tarOf(p.entries()...)), flatten.Target{})
		p["bin/"], p["data/"] = "", ""
		open(o, file("y.tar", tarOf(p.entries()...)), flatten.Target{})
	})
})

func withMode(h zip.FileHeader, m fs.FileMode) zip.FileHeader {
	h.SetMode(m)
	return h
}

// openFiles returns the number of files that this process has open.
func openFiles() int {
	n, ok := fixtures.OpenFiles()
	if !ok {
		Skip("there is no /proc here")
	}
	return n
}

func diskUse(dir string) (n int64) {
	Expect(fs.WalkDir(os.DirFS(dir), ".", func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		n += info.Size()
		return err
	})).To(Succeed())
	return n
}

// sparse is a buildpack's tar with a file of the old GNU format that begins
// with a hole.
func sparse(name string, hole int, data string) []byte {
	return append(sparseHead(name, hole, data), tarOf(component("acme/a").entries()...)...)
}

// sparseHead is the entry alone.
func sparseHead(name string, hole int, data string) []byte {
	head := make([]byte, 512)
	copy(head, name)
	octal := func(at, width, n int) {
		copy(head[at:], []byte(strings.Repeat("0", width)[:width-1-len(oct(n))]+oct(n)))
	}
	octal(100, 8, 0o644)
	octal(108, 8, 0)
	octal(116, 8, 0)
	octal(124, 12, len(data))
	octal(136, 12, 0)
	head[156] = tar.TypeGNUSparse
	copy(head[257:], "ustar  \x00")
	octal(386, 12, hole)
	octal(398, 12, len(data))
	octal(483, 12, hole+len(data))
	copy(head[148:156], "        ")
	sum := 0
	for _, b := range head {
		sum += int(b)
	}
	octal(148, 7, sum)
	head[154] = 0
	body := make([]byte, 512)
	copy(body, data)
	return append(head, body...)
}

func oct(n int) string {
	if n < 8 {
		return string(rune('0' + n))
	}
	return oct(n/8) + string(rune('0'+n%8))
}
