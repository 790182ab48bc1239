package layer_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
)

// naive writes a directory in normal form as the design has it, word by word:
// filepath.Walk and the standard library.
func naive(root string, r flatten.Ref) string {
	GinkgoHelper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	at := "/cnb/buildpacks/" + strings.ReplaceAll(r.ID, "/", "_")
	write := func(h tar.Header, content []byte) {
		h.ModTime = layer.Epoch
		Expect(w.WriteHeader(&h)).To(Succeed())
		_, err := w.Write(content)
		Expect(err).NotTo(HaveOccurred())
	}
	write(tar.Header{Typeflag: tar.TypeDir, Name: at, Mode: 0o755}, nil)
	at += "/" + r.Version
	first := map[uint64]string{}
	Expect(filepath.Walk(root, func(path string, info fs.FileInfo, err error) error {
		Expect(err).NotTo(HaveOccurred())
		name := at + strings.TrimPrefix(path, root)
		switch {
		case info.IsDir():
			write(tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}, nil)
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			Expect(err).NotTo(HaveOccurred())
			write(tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o755}, nil)
		case info.Mode().IsRegular():
			mode := int64(0o644)
			if relative := strings.TrimPrefix(name, at); info.Mode()&0o111 != 0 || relative == "/bin/build" || relative == "/bin/detect" || relative == "/bin/generate" {
				mode = 0o755
			}
			inode := info.Sys().(*syscall.Stat_t).Ino
			if before, linked := first[inode]; linked {
				write(tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: before, Mode: mode}, nil)
				return nil
			}
			first[inode] = name
			content, err := os.ReadFile(path)
			Expect(err).NotTo(HaveOccurred())
			write(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))}, content)
		}
		return nil
	})).To(Succeed())
	Expect(w.Flush()).To(Succeed())
	return b.String()
}

// grow fills a directory at random, with names that sort differently as
// strings and as paths.
func grow(rnd *rand.Rand, dir string, depth int) {
	GinkgoHelper()
	names := []string{"a", "a-b", "a.b", "a b", "a0", "A", "bin", "bin-x", "bin.d", "build", "detect", "generate", ".dot", "..dots", "ü", "\xff\xfe", "z~", strings.Repeat("long", 40), "new\nline", `back\slash`}
	rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	var files []string
	for _, name := range names[:1+rnd.IntN(8)] {
		path := filepath.Join(dir, name)
		switch n := rnd.IntN(10); {
		case n < 3 && depth < 4:
			Expect(os.Mkdir(path, fs.FileMode(0o700|rnd.IntN(0o100)))).To(Succeed())
			grow(rnd, path, depth+1)
		case n == 3:
			Expect(os.Symlink(names[rnd.IntN(len(names))], path)).To(Succeed())
		case n == 4 && len(files) > 0:
			Expect(os.Link(files[rnd.IntN(len(files))], path)).To(Succeed())
		default:
			Expect(os.WriteFile(path, bytes.Repeat([]byte{byte(n)}, rnd.IntN(2000)), 0o600)).To(Succeed())
			Expect(os.Chmod(path, fs.FileMode(rnd.IntN(0o1000))|0o400|fs.FileMode(rnd.IntN(2))*fs.ModeSetuid)).To(Succeed())
			files = append(files, path)
		}
	}
}

// list returns the files of a directory in any order, without most of the
// directories that have something in them.
func list(rnd *rand.Rand, root string) []layer.File {
	GinkgoHelper()
	var files []layer.File
	Expect(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		Expect(err).NotTo(HaveOccurred())
		info, err := os.Lstat(path)
		Expect(err).NotTo(HaveOccurred())
		if path == root || d.IsDir() && rnd.IntN(3) > 0 && !isEmpty(path) {
			return nil
		}
		f := layer.File{
			Path: filepath.ToSlash(strings.TrimPrefix(path, root+"/")), Mode: info.Mode(), Size: info.Size(),
			Open: func() (io.ReadCloser, error) { return os.Open(path) },
		}
		if stat := info.Sys().(*syscall.Stat_t); info.Mode().IsRegular() && stat.Nlink > 1 {
			f.Same = fmt.Sprint(stat.Dev, ":", stat.Ino)
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			f.Link, err = os.Readlink(path)
			Expect(err).NotTo(HaveOccurred())
		}
		files = append(files, f)
		return nil
	})).To(Succeed())
	rnd.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
	return files
}

func isEmpty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0
}

var _ = Describe("the normal form of any directory", func() {
	It("is what the standard library makes of it by the rules, and is built, and taken apart again", func() {
		rnd := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 3))
		for range 25 {
			root := GinkgoT().TempDir()
			Expect(os.Chmod(root, 0o700)).To(Succeed())
			grow(rnd, root, 0)
			if bin := filepath.Join(root, "bin"); rnd.IntN(2) == 0 && os.Mkdir(bin, 0o755) == nil {
				for _, name := range []string{"build", "detect", "generate", "other"} {
					Expect(os.WriteFile(filepath.Join(bin, name), nil, 0o600)).To(Succeed())
				}
			}
			piece, err := layer.NormalForm(flatten.Buildpack, a1, root, list(rnd, root))
			Expect(err).NotTo(HaveOccurred())
			got, err := written(piece)
			Expect(err).NotTo(HaveOccurred())
			Expect(got == naive(root, a1)).To(BeTrue(), "%s\n%s", tree([]byte(got)), tree([]byte(naive(root, a1))))
			length, known := layer.LengthOf(piece)
			Expect(known).To(BeTrue())
			Expect(length).To(BeEquivalentTo(len(got)), "without reading it")
			b := build(layer.Gzip, layer.Member{Ref: a1, Piece: piece})
			Expect(written(layer.FromLayer(flatten.Buildpack, a1, "layer", b.Open))).To(Equal(got))
		}
	})

	It("is the same at every call", func() {
		m := sample(a1)
		first, err := written(m.Piece)
		Expect(err).NotTo(HaveOccurred())
		Expect(written(m.Piece)).To(Equal(first))
	})

	It("has no length that is known without reading, where it comes from a layer", func() {
		b := build(layer.Gzip, sample(a1))
		_, known := layer.LengthOf(layer.FromLayer(flatten.Buildpack, a1, "layer", b.Open))
		Expect(known).To(BeFalse())
	})

	It("leaves sockets out", func() {
		without := of(a1, regular("f", "x", 0o644))
		with := of(a1, regular("f", "x", 0o644), layer.File{Path: "s", Mode: fs.ModeSocket | 0o777})
		want, err := written(without.Piece)
		Expect(err).NotTo(HaveOccurred())
		Expect(written(with.Piece)).To(Equal(want))
	})

	DescribeTable("is refused", func(f layer.File, message string) {
		_, err := layer.NormalForm(flatten.Buildpack, a1, "here", []layer.File{f})
		Expect(err).To(MatchError("here: " + message))
	},
		Entry("nothing", regular("", "", 0), `path "" is outside of the buildpack or not clean`),
		Entry("the root itself", layer.File{Path: ".", Mode: fs.ModeDir}, `path "." is outside of the buildpack or not clean`),
		Entry("an absolute path", regular("/etc/passwd", "", 0), `path "/etc/passwd" is outside of the buildpack or not clean`),
		Entry("a path that leads up", regular("a/../../b", "", 0), `path "a/../../b" is outside of the buildpack or not clean`),
		Entry("a path that leads up and back", regular("a/../b", "", 0), `path "a/../b" is outside of the buildpack or not clean`),
		Entry("a slash behind", layer.File{Path: "a/", Mode: fs.ModeDir}, `path "a/" is outside of the buildpack or not clean`),
		Entry("two slashes", regular("a//b", "", 0), `path "a//b" is outside of the buildpack or not clean`),
		Entry("a NUL", regular("a\x00b", "", 0), `path "a\x00b" is outside of the buildpack or not clean`),
		Entry("a whiteout", regular("a/.wh.b", "", 0), "a/.wh.b is the name of a whiteout, which an image layer cannot hold as a file"),
		Entry("what is below a whiteout", regular(".wh.a/b", "", 0), ".wh.a/b is the name of a whiteout, which an image layer cannot hold as a file"),
		Entry("a long path", regular(strings.Repeat("a/", 1800)+"b", "", 0), `path "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/"... is longer than 3595 bytes`),
		Entry("a deep path", regular(strings.Repeat("a/", 256)+"b", "", 0), `path "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/"... has more than 256 components`),
		Entry("a link to nothing", layer.File{Path: "l", Mode: fs.ModeSymlink}, `l is a symbolic link with the invalid target ""`),
		Entry("a link to a NUL", layer.File{Path: "l", Mode: fs.ModeSymlink, Link: "a\x00"}, `l is a symbolic link with the invalid target "a\x00"`),
		Entry("a character device", layer.File{Path: "d", Mode: fs.ModeDevice | fs.ModeCharDevice}, "d is a device, which a buildpack cannot hold"),
		Entry("what is of no type", layer.File{Path: "i", Mode: fs.ModeIrregular}, "i is neither a file, a directory nor a symbolic link"),
		Entry("a negative size", layer.File{Path: "f", Size: -1}, "f has a negative size"),
	)

	It("is refused for a ref that has no directory", func() {
		_, err := layer.NormalForm(flatten.Buildpack, flatten.Ref{ID: "..", Version: "1"}, "here", nil)
		Expect(err).To(MatchError(ContainSubstring(`here: invalid id ".."`)))
	})
})
