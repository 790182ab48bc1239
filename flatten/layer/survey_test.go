package layer_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
)

func surveyed(tarball []byte, want ...string) (layer.Surveyed, error) {
	return layer.Survey(context.Background(), opener(tarball), func(name string) bool { return slices.Contains(want, name) })
}

var _ = Describe("a survey of a layer", func() {
	x, x1, f1 := dir(bp+"/x"), dir(bp+"/x/1"), file(bp+"/x/1/f", "one")

	It("finds the module directories of both kinds, and how much is in them", func() {
		e := "/cnb/extensions/e/2"
		s, err := surveyed(cat(
			dir("/etc"), file("/etc/passwd", "root"), dir("/cnb"), dir(bp), x, x1, f1,
			dir("cnb/extensions/e/"), file("./cnb/extensions/e/2/extension.toml", strings.Repeat("x", 700)),
			soft(bp+"/x/latest", "1"), file(bp+"/order.toml", ""), dir(bp+"/x/2/"), file(bp+"/x/1/g", ""), end))
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Modules).To(Equal([]layer.ModuleDir{
			{Kind: flatten.Buildpack, Path: bp + "/x/1", Entries: 3, Bytes: 512 + 1024 + 512, IDDir: 512},
			{Kind: flatten.Extension, Path: e, Entries: 1, Bytes: 512 + 1024, IDDir: 512},
			{Kind: flatten.Buildpack, Path: bp + "/x/2", Entries: 1, Bytes: 512, IDDir: 512},
		}))
		Expect(s.Entries).To(Equal(13))
		Expect(s.Length).To(BeEquivalentTo(512*(13+1+1+2) + 1024))
		Expect(s.Duplicate).To(BeEmpty())
		Expect(s.Whiteouts).To(BeEmpty())
	})

	DescribeTable("finds the first path that has two entries", func(want string, parts ...[]byte) {
		s, err := surveyed(cat(cat(parts...), end))
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Duplicate).To(Equal(want))
	},
		Entry("of files", "/etc/a", file("/etc/a", "1"), file("/etc/b", ""), file("etc/a", "2"), file("/etc/b", "")),
		Entry("of directories", bp+"/x", x, x1, f1, dir(bp+"/x/")),
		Entry("of a directory and a link", "/a", dir("/a"), soft("/a", "b")),
		Entry("of links", "/a", soft("/a", "b"), hard("/a", "/b")),
		Entry("of whiteouts", "/.wh.a", file(".wh.a", ""), file("./.wh.a", "")),
		Entry("of none, where a directory is implied before its entry", "", f1, x1, x),
		Entry("of none, where a global header has a name twice", "", pax('g', "comment", "a"), f1, pax('g', "comment", "b")),
	)

	DescribeTable("finds the whiteouts that hide modules", func(name string, hides bool) {
		s, err := surveyed(cat(file(name, ""), end))
		Expect(err).NotTo(HaveOccurred())
		if hides {
			Expect(s.Whiteouts).To(Equal([]string{path.Clean("/" + name)}))
		} else {
			Expect(s.Whiteouts).To(BeEmpty())
		}
		Expect(s.Modules).To(BeEmpty())
	},
		Entry("of a version", bp+"/x/.wh.1", true),
		Entry("of an id", "cnb/buildpacks/.wh.x", true),
		Entry("of a file of a module", bp+"/x/1/bin/.wh.build", true),
		Entry("of all of /cnb", "/.wh.cnb", true),
		Entry("of what is in /cnb", "/cnb/.wh..wh..opq", true),
		Entry("of everything", ".wh..wh..opq", true),
		Entry("of another directory", "/.wh.cnb2", false),
		Entry("of what is in another directory", "/c/.wh..wh..opq", false),
		Entry("of a directory of that name elsewhere", "/home/.wh.cnb", false),
	)

	It("returns the files that are wanted, and why it does not", func() {
		large := strings.Repeat("x", layer.FileLimit+1)
		s, err := surveyed(cat(x, x1, file(bp+"/x/1/a", "one"), file(bp+"/x/1/b", large), soft(bp+"/x/1/c", "a"), dir(bp+"/x/1/d"), f1, file(bp+"/x/1/e", large[1:]),
			hard(bp+"/x/1/h", bp+"/x/1/a"), entry(tar.Header{Name: bp + "/x/1/dev", Typeflag: tar.TypeChar}, ""), file(bp+"/x/1/twice", "1"), file(bp+"/x/1/twice", "22"), end),
			bp+"/x/1/a", bp+"/x/1/b", bp+"/x/1/c", bp+"/x/1/d", bp+"/x/1/e", bp+"/x/1/h", bp+"/x/1/dev", bp+"/x/1/twice", bp+"/x/1/missing")
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Files).To(HaveLen(3))
		Expect(s.Files).To(HaveKeyWithValue(bp+"/x/1/a", []byte("one")))
		Expect(s.Files).To(HaveKeyWithValue(bp+"/x/1/twice", []byte("22")))
		Expect(s.Files[bp+"/x/1/e"]).To(HaveLen(layer.FileLimit))
		Expect(s.Unread).To(Equal(map[string]string{
			bp + "/x/1/b": "is larger than 1024 KiB", bp + "/x/1/c": "is a link to a", bp + "/x/1/d": "is a directory",
			bp + "/x/1/h": "is a link to " + bp + "/x/1/a", bp + "/x/1/dev": "is not a regular file",
		}))
	})

	It("reads past sparse files, whose size is not that in the tar", func() {
		sparse := cat(pax('x', "GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.realsize", "999999999999"), raw("/s", ofType('0'), "1\n0\n5\n"+strings.Repeat("\x00", 506)+"12345"))
		s, err := surveyed(cat(sparse, x, x1, f1, end), "/s", bp+"/x/1/f")
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Entries).To(Equal(4))
		Expect(s.Unread).To(Equal(map[string]string{"/s": "is a sparse file"}))
		Expect(s.Files).To(HaveLen(1))
	})

	It("reads what follows the end of the archive", func() {
		s, err := surveyed(cat(f1, end, make([]byte, 9000)))
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Length).To(BeEquivalentTo(1024 + 1024 + 9000))
		read := 0
		open := func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(cat(f1, end)), iotest.ErrReader(errors.New("wrong digest")))), nil
		}
		_, err = layer.Survey(context.Background(), open, func(string) bool { read++; return false })
		Expect(err).To(MatchError("wrong digest"))
		Expect(read).To(Equal(1))
	})

	DescribeTable("refuses", func(tarball func() []byte, message string) {
		open := opener(tarball())
		used := allocated(func() {
			_, err := layer.Survey(context.Background(), open, func(name string) bool { return strings.HasSuffix(name, ".toml") })
			Expect(err).To(MatchError(ContainSubstring(message)))
		})
		Expect(used).To(BeNumerically("<", 192<<20))
	},
		Entry("a path that leads up", func() []byte { return cat(file("/etc/../x", ""), end) }, `path "/etc/../x" leads out`),
		Entry("content that ends too early", func() []byte { return file("/x", "123456")[:515] }, "unexpected EOF"),
		Entry("padding that ends too early", func() []byte { return file("/x", "123456")[:700] }, "unexpected EOF"),
		Entry("a header that ends too early", func() []byte { return file("/x", "123456")[:100] }, "unexpected EOF"),
		Entry("a huge header", func() []byte {
			return cat(pax('x', "comment", strings.Repeat("x", 600<<10)), pax('x', "comment", strings.Repeat("x", 600<<10)), f1, end)
		}, "header is longer than 1048576 bytes"),
		Entry("many modules", func() []byte {
			var b bytes.Buffer
			for i := range 5000 {
				b.Write(dir(fmt.Sprintf("%s/x/%d", bp, i)))
			}
			return b.Bytes()
		}, "too many module directories; the limit is 4000"),
		Entry("large wanted files", func() []byte {
			var b bytes.Buffer
			for i := range 18 {
				b.Write(file(fmt.Sprintf("/%d.toml", i), strings.Repeat("x", 1<<20)))
			}
			return b.Bytes()
		}, "descriptors are larger than 16 MiB in total"),
		Entry("long names of whiteouts", func() []byte {
			var b bytes.Buffer
			for i := range 4500 {
				b.Write(file(fmt.Sprintf("/cnb/.wh.%d%s", i, strings.Repeat("/x", 2000)), ""))
			}
			return b.Bytes()
		}, "longer than 16 MiB in total"),
	)

	It("ends with its context", func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := layer.Survey(ctx, opener(cat(f1, end)), func(string) bool { return false })
		Expect(err).To(MatchError(context.Canceled))
	})
})

// Whatever a tar is, it is refused, or the survey says what a plain walk of it finds.
func FuzzSurvey(f *testing.F) {
	x, x1, f1 := dir(bp+"/x"), dir(bp+"/x/1"), file(bp+"/x/1/f", "one")
	for _, seed := range [][]byte{
		cat(x, x1, f1, end), cat(x, x1, f1, x, end), cat(file("/.wh.cnb", ""), f1), nil, end, cat(x, hard(bp+"/x/1/f", "/y"), end, x),
		cat(pax('g', "comment", "x"), f1, end), cat(pax('x', "path", bp+"/x/1/ü"), f1, end), f1[:700], cat(entry(tar.Header{Name: "/d", Typeflag: tar.TypeBlock}, ""), f1),
		cat(pax('x', "GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.realsize", "999999999999"), raw("/s", ofType('0'), "1\n0\n5\n"+strings.Repeat("\x00", 506)+"12345"), f1, end),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, tarball []byte) {
		s, err := layer.Survey(t.Context(), opener(tarball), func(name string) bool { return path.Base(name) == "f" })
		if _, wrong := layer.Inspect(t.Context(), flatten.Buildpack, []flatten.Ref{{ID: "x", Version: "1"}}, opener(tarball)); err != nil && wrong == nil {
			t.Fatalf("it is a layer, but %v", err)
		}
		if err != nil {
			return
		}
		if s.Length != int64(len(tarball)) {
			t.Fatalf("it has %d bytes, not %d", len(tarball), s.Length)
		}
		seen, twice, entries, files, inModules := map[string]bool{}, "", 0, map[string][]byte{}, 0
		tr := tar.NewReader(bytes.NewReader(tarball))
		for h, err := tr.Next(); err == nil; h, err = tr.Next() {
			if h.Typeflag == tar.TypeXGlobalHeader {
				continue
			}
			entries++
			name := path.Clean("/" + h.Name)
			if seen[name] && twice == "" {
				twice = name
			}
			seen[name] = true
			delete(files, name)
			if path.Base(name) == "f" && h.Typeflag == tar.TypeReg && h.Size <= layer.FileLimit && !layer.IsSparse(h) {
				files[name], _ = io.ReadAll(tr)
			}
		}
		if s.Entries != entries || s.Duplicate != twice || len(files) != len(s.Files) {
			t.Fatalf("%d entries, %q twice, %d files: %+v", entries, twice, len(files), s)
		}
		for name, content := range files {
			if !bytes.Equal(s.Files[name], content) {
				t.Fatalf("%s is %q, not %q", name, content, s.Files[name])
			}
		}
		var length int64
		for _, m := range s.Modules {
			inModules, length = inModules+m.Entries, length+m.Bytes
			if !strings.HasPrefix(m.Path, m.Kind.Root()+"/") || strings.Count(m.Path, "/") != 4 || m.Entries == 0 || m.Bytes < 512 {
				t.Fatalf("%+v", m)
			}
		}
		if inModules > entries || length > s.Length {
			t.Fatalf("%+v", s)
		}
	})
}
