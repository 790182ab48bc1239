package layer_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing/iotest"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
)

var _ = Describe("a layer that no buildpack has", func() {
	x, x1, f1 := dir(bp+"/x"), dir(bp+"/x/1"), file(bp+"/x/1/f", "one")
	x1Ref := flatten.Ref{ID: "x", Version: "1"}
	sparse := func(records ...string) []byte {
		return cat(pax('x', records...), raw(bp+"/x/1/s", ofType('0'), strings.Repeat("0\n", 256)))
	}

	DescribeTable("is refused", func(tarball []byte, message string) {
		_, _, err := taken(cat(x, x1, f1, tarball, end), x1Ref)
		Expect(err).To(MatchError(message))
		// It is refused inside of other buildpacks as well: the layer may be used as it is.
		_, _, err = taken(cat(dir(bp+"/y"), dir(bp+"/y/1"), x, x1, f1, tarball, end), flatten.Ref{ID: "y", Version: "1"})
		Expect(err).To(MatchError(message))
	},
		Entry("a path that leads up", file(bp+"/x/1/../../../../etc/passwd", ""), `path "/cnb/buildpacks/x/1/../../../../etc/passwd" leads out of its buildpack`),
		Entry("a path that leads up and back", file(bp+"/x/1/../1/g", ""), `path "/cnb/buildpacks/x/1/../1/g" leads out of its buildpack`),
		Entry("a directory that leads up", dir("../cnb"), `path "../cnb" leads out of its buildpack`),
		Entry("a file elsewhere", file("/etc/passwd", ""), "/etc/passwd is outside of /cnb/buildpacks"),
		Entry("a directory elsewhere", dir("/cnb/buildpacks-x/"), "/cnb/buildpacks-x/ is outside of /cnb/buildpacks"),
		Entry("a directory of extensions", dir("/cnb/extensions"), "/cnb/extensions is outside of /cnb/buildpacks"),
		Entry("a link for the root", soft("/cnb", "/etc"), "/cnb is outside of /cnb/buildpacks"),
		Entry("a link for all buildpacks", soft(bp, "/etc"), "/cnb/buildpacks is outside of /cnb/buildpacks"),
		Entry("a name of nothing", raw("x", func(b []byte) { clear(b[:100]) }, ""), " is outside of /cnb/buildpacks"),
		Entry("a link for an id", soft(bp+"/z", "/etc"), "/cnb/buildpacks/z is not a directory"),
		Entry("a file for an id", file(bp+"/order.toml", ""), "/cnb/buildpacks/order.toml is not a directory"),
		Entry("a link for a version", soft(bp+"/x/3", "1"), "/cnb/buildpacks/x/3 is not a directory"),
		Entry("a whiteout", file(bp+"/x/1/.wh.f", ""), "/cnb/buildpacks/x/1/.wh.f is a whiteout: the layer depends on layers below it"),
		Entry("a whiteout of everything", file(bp+"/x/1/.wh..wh..opq", ""), "/cnb/buildpacks/x/1/.wh..wh..opq is a whiteout: the layer depends on layers below it"),
		Entry("a whiteout that is a directory", dir(bp+"/x/1/.wh.f"), "/cnb/buildpacks/x/1/.wh.f is a whiteout: the layer depends on layers below it"),
		Entry("a file below a whiteout", file(bp+"/x/1/.wh.d/f", ""), "/cnb/buildpacks/x/1/.wh.d/f is a whiteout: the layer depends on layers below it"),
		Entry("a whiteout of a buildpack", dir(bp+"/.wh.y"), "/cnb/buildpacks/.wh.y is a whiteout: the layer depends on layers below it"),
		Entry("a hard link out", hard(bp+"/x/1/h", "/etc/passwd"), "/cnb/buildpacks/x/1/h is a hard link out of its buildpack, to /etc/passwd"),
		Entry("a hard link to another version", hard(bp+"/x/1/h", bp+"/x/10/f"), "/cnb/buildpacks/x/1/h is a hard link out of its buildpack, to /cnb/buildpacks/x/10/f"),
		Entry("a hard link that leads up", hard(bp+"/x/1/h", bp+"/x/1/../2/f"), `path "/cnb/buildpacks/x/1/../2/f" leads out of its buildpack`),
		Entry("a hard link to what is not there", hard(bp+"/x/1/h", bp+"/x/1/gone"), "/cnb/buildpacks/x/1/h is a hard link to /cnb/buildpacks/x/1/gone, which does not exist"),
		Entry("a hard link to itself", hard(bp+"/x/1/h", bp+"/x/1/h"), "/cnb/buildpacks/x/1/h is a hard link to /cnb/buildpacks/x/1/h, which does not exist"),
		Entry("a hard link to a directory", cat(dir(bp+"/x/1/d"), hard(bp+"/x/1/h", bp+"/x/1/d")), "/cnb/buildpacks/x/1/h is a hard link to /cnb/buildpacks/x/1/d, which does not exist"),
		Entry("a file twice", file(bp+"/x/1/f", "two"), "duplicate path /cnb/buildpacks/x/1/f"),
		Entry("a file twice, spelt differently", file("cnb/buildpacks//x/1/./f", "two"), "duplicate path /cnb/buildpacks/x/1/f"),
		Entry("a file and a directory", dir(bp+"/x/1/f"), "duplicate path /cnb/buildpacks/x/1/f"),
		Entry("a directory and a file", cat(dir(bp+"/x/1/d"), soft(bp+"/x/1/d", "f")), "duplicate path /cnb/buildpacks/x/1/d"),
		Entry("a directory that has no entry, and a file", cat(file(bp+"/x/1/d/e/f", ""), file(bp+"/x/1/d", "")), "duplicate path /cnb/buildpacks/x/1/d"),
		Entry("a file in a file", file(bp+"/x/1/f/g", ""), "/cnb/buildpacks/x/1/f/g is below /cnb/buildpacks/x/1/f, which is not a directory"),
		Entry("a file far below a file", file(bp+"/x/1/f/g/h", ""), "/cnb/buildpacks/x/1/f/g/h is below /cnb/buildpacks/x/1/f, which is not a directory"),
		Entry("a file in a link", cat(soft(bp+"/x/1/l", "/etc"), file(bp+"/x/1/l/passwd", "")), "/cnb/buildpacks/x/1/l/passwd is below /cnb/buildpacks/x/1/l, which is not a directory"),
		Entry("a device", entry(tar.Header{Name: bp + "/x/1/d", Typeflag: tar.TypeChar}, ""), "/cnb/buildpacks/x/1/d is a device, which a buildpack cannot hold"),
		Entry("a block device", entry(tar.Header{Name: bp + "/x/1/d", Typeflag: tar.TypeBlock}, ""), "/cnb/buildpacks/x/1/d is a device, which a buildpack cannot hold"),
		Entry("a fifo", entry(tar.Header{Name: bp + "/x/1/p", Typeflag: tar.TypeFifo}, ""), "/cnb/buildpacks/x/1/p is a fifo, which a buildpack cannot hold"),
		Entry("a type of its own", raw(bp+"/x/1/p", ofType('V'), ""), "/cnb/buildpacks/x/1/p is of type 'V', which a buildpack cannot hold"),
		Entry("a contiguous file", raw(bp+"/x/1/p", ofType('7'), ""), "/cnb/buildpacks/x/1/p is of type '7', which a buildpack cannot hold"),
		Entry("a sparse file of GNU", raw(bp+"/x/1/s", func(b []byte) {
			ofType('S')(b)
			copy(b[257:], "ustar  \x00")
			clear(b[265:])
			copy(b[386:], "00000000000\x0000000000000\x00")
			copy(b[483:], "77777777777\x00")
		}, ""), "/cnb/buildpacks/x/1/s is of type 'S', which a buildpack cannot hold"),
		Entry("a sparse file of an exabyte", sparse("GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.name", bp+"/x/1/s", "GNU.sparse.realsize", "1152921504606846976"),
			"/cnb/buildpacks/x/1/s is a sparse file, which a buildpack cannot hold"),
		Entry("a sparse file of a kind to come", sparse("GNU.sparse.major", "2"), "/cnb/buildpacks/x/1/s is a sparse file, which a buildpack cannot hold"),
		Entry("a header for all that follow", pax('g', "comment", "all"), "unsupported pax global header"),
		Entry("a path that no kernel opens", file(bp+"/x/1/"+strings.Repeat("a/", 2050)+"b", ""), "path \"/cnb/buildpacks/x/1/a/a/a/a/a/a/a/a/a/a/\"... is longer than 4095 bytes"),
		Entry("a record without an entry", pax('x', "comment", "alone"), "reading the layer's tar: unexpected EOF"),
		Entry("a checksum that is wrong", bytes.Replace(file(bp+"/x/1/g", ""), []byte("ustar"), []byte("uster"), 1), "reading the layer's tar: archive/tar: invalid tar header"),
		Entry("headers without end", bytes.Repeat(pax('x', "comment", strings.Repeat("c", 250_000)), 5), "reading the layer's tar: header is longer than 1048576 bytes"),
	)

	It("is refused where it lacks what was asked for, and all of that is named", func() {
		_, _, err := taken(cat(x, x1, f1, end), x1Ref, flatten.Ref{ID: "x", Version: "2"}, flatten.Ref{ID: "y", Version: "1"})
		Expect(err).To(MatchError("x@2 has no files in the layer\ny@1 has no files in the layer"))
		_, _, err = taken(end, x1Ref)
		Expect(err).To(MatchError("x@1 has no files in the layer"))
		_, _, err = taken(nil, x1Ref)
		Expect(err).To(MatchError("x@1 has no files in the layer"))
	})

	It("is refused where two refs would have one directory", func() {
		_, _, err := taken(cat(dir(bp+"/a_b"), dir(bp+"/a_b/1"), end), flatten.Ref{ID: "a/b", Version: "1"}, flatten.Ref{ID: "a_b", Version: "1"})
		Expect(err).To(MatchError("a/b@1 and a_b@1 would have the same directory /cnb/buildpacks/a_b/1"))
	})

	It("is refused where a record has no entry, though it is as long as an end", func() {
		_, _, err := taken(cat(x, x1, f1, pax('x', "comment", "alone")), x1Ref)
		Expect(err).To(MatchError("reading the layer's tar: unexpected EOF"))
	})

	It("is never silently shorter: every cut is an error, or leaves whole entries and is told of", func() {
		parts := [][]byte{x, x1, f1, entry(tar.Header{Name: bp + "/x/1/ü", Format: tar.FormatPAX}, strings.Repeat("p", 513)), hard(bp+"/x/1/h", bp+"/x/1/f"), file(bp+"/x/1/z", strings.Repeat("z", 512))}
		whole := cat(append(parts, end)...)
		borders := map[int]bool{}
		at := 0
		for i, p := range parts {
			at += len(p)
			borders[at] = i > 0 // before, there is nothing of the buildpack
		}
		borders[at+512] = true
		for cut := range len(whole) {
			report, err := layer.Inspect(context.Background(), flatten.Buildpack, []flatten.Ref{x1Ref}, opener(whole[:cut]))
			if !borders[cut] {
				Expect(err).To(HaveOccurred(), "cut at %d", cut)
				continue
			}
			Expect(err).NotTo(HaveOccurred(), "cut at %d", cut)
			Expect(report.NonCanonical).To(Equal(noT))
			Expect(report.Pieces[0].Length).To(BeEquivalentTo(min(cut, at)))
		}
		Expect(layer.Inspect(context.Background(), flatten.Buildpack, []flatten.Ref{x1Ref}, opener(whole))).To(HaveField("NonCanonical", ""))
	})

	It("returns the reader's error wherever it comes, behind the end too", func() {
		broken := errors.New("the line is dead")
		tarball := cat(x, x1, f1, end, make([]byte, 2048))
		for cut := range len(tarball) + 1 {
			open := func(context.Context) (io.ReadCloser, error) {
				return io.NopCloser(io.MultiReader(bytes.NewReader(tarball[:cut]), iotest.ErrReader(broken))), nil
			}
			_, err := layer.Inspect(context.Background(), flatten.Buildpack, []flatten.Ref{x1Ref}, open)
			Expect(err).To(MatchError(broken), "after %d bytes", cut)
		}
	})

	It("is read in dribs and drabs as it is in one go", func() {
		tarball := cat(x, x1, f1, file(bp+"/x/1/g", strings.Repeat("g", 1000)), end)
		want, err := layer.Inspect(context.Background(), flatten.Buildpack, []flatten.Ref{x1Ref}, opener(tarball))
		Expect(err).NotTo(HaveOccurred())
		for _, dribble := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
			open := func(context.Context) (io.ReadCloser, error) {
				return io.NopCloser(dribble(bytes.NewReader(tarball))), nil
			}
			Expect(layer.Inspect(context.Background(), flatten.Buildpack, []flatten.Ref{x1Ref}, open)).To(Equal(want))
		}
	})

	It("reports what it cannot open or close", func() {
		broken := errors.New("gone")
		_, err := layer.Inspect(context.Background(), flatten.Buildpack, nil, func(context.Context) (io.ReadCloser, error) { return nil, broken })
		Expect(err).To(MatchError(broken))
		open := func(context.Context) (io.ReadCloser, error) { return failsToClose{bytes.NewReader(end), broken}, nil }
		_, err = layer.Inspect(context.Background(), flatten.Buildpack, nil, open)
		Expect(err).To(MatchError(broken))
	})

	It("takes no memory to speak of for names and directories without number", func() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		n := 0
		open := func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(cat(x, x1)), readerFunc(func(p []byte) (int, error) {
				if n++; n > 10_000 {
					runtime.GC()
					runtime.ReadMemStats(&after)
					return 0, io.EOF
				}
				name := strings.Repeat("n", 3000) + fmt.Sprint(n)
				if n%2 == 0 {
					return copy(p, dir(bp+"/"+name)), nil
				}
				return copy(p, file(bp+"/x/1/"+name, "")), nil
			}, 8<<10))), nil
		}
		_, err := layer.Inspect(context.Background(), flatten.Buildpack, []flatten.Ref{x1Ref}, open)
		Expect(err).NotTo(HaveOccurred())
		Expect(int64(after.HeapAlloc) - int64(before.HeapAlloc)).To(BeNumerically("<", 3<<20))
	})
})

type failsToClose struct {
	io.Reader
	err error
}

func (f failsToClose) Close() error { return f.err }

// readerFunc reads what the function gives, call by call; a call is asked for
// up to size bytes.
func readerFunc(next func([]byte) (int, error), size int) io.Reader {
	buf := make([]byte, size)
	var rest []byte
	return reader(func(p []byte) (int, error) {
		if len(rest) == 0 {
			n, err := next(buf)
			if err != nil {
				return 0, err
			}
			rest = buf[:n]
		}
		n := copy(p, rest)
		rest = rest[n:]
		return n, nil
	})
}

type reader func([]byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }
