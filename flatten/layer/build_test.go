package layer_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
)

func regular(path, content string, mode fs.FileMode) layer.File {
	return layer.File{Path: path, Mode: mode, Size: int64(len(content)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(content)), nil
	}}
}

// sample is a member with a few files, some of them large enough to need
// several members.
func sample(r flatten.Ref) layer.Member {
	piece, err := layer.NormalForm(flatten.Buildpack, r, "sample", []layer.File{
		regular("buildpack.toml", "# "+r.String(), 0o600),
		regular("bin/build", strings.Repeat(r.String(), 300_000), 0o644),
		regular("bin-x", "x", 0o744),
		{Path: "empty", Mode: fs.ModeDir | 0o700},
		{Path: "link", Mode: fs.ModeSymlink | 0o777, Link: "../anywhere"},
	})
	ExpectWithOffset(1, err).NotTo(HaveOccurred())
	return layer.Member{Ref: r, Piece: piece}
}

func build(c layer.Compression, members ...layer.Member) *layer.Built {
	b, err := layer.Build(context.Background(), members, layer.BuildOptions{
		Kind: flatten.Buildpack, Compression: c, Path: filepath.Join(GinkgoT().TempDir(), "layer"),
	})
	ExpectWithOffset(1, err).NotTo(HaveOccurred())
	return b
}

func diffID(b *layer.Built) string {
	h, err := b.DiffID()
	ExpectWithOffset(1, err).NotTo(HaveOccurred())
	return h.String()
}

// listing returns the entries of a tar as text.
func listing(r io.Reader) []string {
	var lines []string
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		ExpectWithOffset(1, err).NotTo(HaveOccurred())
		line := strings.Join([]string{string(h.Typeflag), fs.FileMode(h.Mode).String(), h.Name}, " ")
		if h.Linkname != "" {
			line += " -> " + h.Linkname
		}
		Expect([]any{h.Uid, h.Gid, h.Uname, h.Gname, h.ModTime.Unix()}).To(Equal([]any{0, 0, "", "", int64(315532801)}))
		lines = append(lines, line)
	}
}

var (
	a1, a2 = flatten.Ref{ID: "x/a", Version: "1"}, flatten.Ref{ID: "x/a", Version: "2"}
	b1, c1 = flatten.Ref{ID: "b", Version: "1"}, flatten.Ref{ID: "c", Version: "1"}
)

var _ = Describe("a layer in normal form", func() {
	It("holds the entries in walk order, as the standard library reads them", func() {
		b := build(layer.Gzip, sample(a1))
		blob, err := b.Compressed()
		Expect(err).NotTo(HaveOccurred())
		defer blob.Close()
		zr, err := gzip.NewReader(blob)
		Expect(err).NotTo(HaveOccurred())
		Expect(listing(zr)).To(Equal([]string{
			"5 -rwxr-xr-x /cnb/buildpacks/x_a",
			"5 -rwxr-xr-x /cnb/buildpacks/x_a/1",
			"5 -rwxr-xr-x /cnb/buildpacks/x_a/1/bin",
			"0 -rwxr-xr-x /cnb/buildpacks/x_a/1/bin/build",
			"0 -rwxr-xr-x /cnb/buildpacks/x_a/1/bin-x",
			"0 -rw-r--r-- /cnb/buildpacks/x_a/1/buildpack.toml",
			"5 -rwxr-xr-x /cnb/buildpacks/x_a/1/empty",
			"2 -rwxr-xr-x /cnb/buildpacks/x_a/1/link -> ../anywhere",
		}))
	})

	It("makes later hard links entries of the first in walk order", func() {
		one, two := regular("z", "same", 0o755), regular("bin/a", "same", 0o755)
		one.Same, two.Same = "1:2", "1:2"
		piece, err := layer.NormalForm(flatten.Extension, b1, "links", []layer.File{one, two})
		Expect(err).NotTo(HaveOccurred())
		var tarball bytes.Buffer
		Expect(piece.WriteEntries(context.Background(), &tarball)).To(Succeed())
		Expect(listing(&tarball)).To(Equal([]string{
			"5 -rwxr-xr-x /cnb/extensions/b",
			"5 -rwxr-xr-x /cnb/extensions/b/1",
			"5 -rwxr-xr-x /cnb/extensions/b/1/bin",
			"0 -rwxr-xr-x /cnb/extensions/b/1/bin/a",
			"1 -rwxr-xr-x /cnb/extensions/b/1/z -> /cnb/extensions/b/1/bin/a",
		}))
	})

	It("reports everything that it has no place for at once", func() {
		_, err := layer.NormalForm(flatten.Buildpack, b1, "here", []layer.File{
			regular("../up", "", 0), regular("a", "", 0), regular("a", "", 0), regular("a/b", "", 0),
			{Path: "dev", Mode: fs.ModeDevice}, {Path: "pipe", Mode: fs.ModeNamedPipe}, {Path: "sock", Mode: fs.ModeSocket},
		})
		Expect(err).To(MatchError(And(ContainSubstring(`path "../up" is outside`), ContainSubstring("duplicate path a"),
			ContainSubstring("a/b is below a"), ContainSubstring("dev is a device"), ContainSubstring("pipe is a fifo"), Not(ContainSubstring("sock")))))
	})

	DescribeTable("notices a file that changes while it is read", func(content string, want string) {
		f := regular("f", content, 0o644)
		f.Size = 4
		piece, err := layer.NormalForm(flatten.Buildpack, b1, "here", []layer.File{f})
		Expect(err).NotTo(HaveOccurred())
		path := filepath.Join(GinkgoT().TempDir(), "layer")
		_, err = layer.Build(context.Background(), []layer.Member{{Ref: b1, Piece: piece}}, layer.BuildOptions{Kind: flatten.Buildpack, Path: path})
		Expect(err).To(MatchError(ContainSubstring("buildpack b@1: here: f: " + want)))
		Expect(path).NotTo(BeAnExistingFile())
	},
		Entry("shorter", "abc", "has 3 bytes, expected 4"),
		Entry("longer", "abcde", "grew beyond 4 bytes"),
	)
})

var _ = Describe("building", func() {
	DescribeTable("returns a layer whose digests are those of its bytes", func(c layer.Compression) {
		b := build(c, sample(a1), sample(b1))
		blob, err := b.Compressed()
		Expect(err).NotTo(HaveOccurred())
		defer blob.Close()
		digest, size, err := v1.SHA256(blob)
		Expect(err).NotTo(HaveOccurred())
		Expect(b.Digest()).To(Equal(digest))
		Expect(b.Size()).To(Equal(size))
		tarball, err := b.Uncompressed()
		Expect(err).NotTo(HaveOccurred())
		defer tarball.Close()
		id, length, err := v1.SHA256(tarball)
		Expect(err).NotTo(HaveOccurred())
		Expect(b.DiffID()).To(Equal(id))
		Expect(b.Pieces[0].Length + b.Pieces[1].Length + 1024).To(Equal(length))
	}, Entry(nil, layer.Gzip), Entry(nil, layer.Zstd))

	It("returns the same blob for any number of processors", func() {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		one, _ := build(layer.Gzip, sample(a1), sample(b1)).Digest()
		runtime.GOMAXPROCS(7)
		seven, _ := build(layer.Gzip, sample(a1), sample(b1)).Digest()
		Expect(one).To(Equal(seven))
	})

	It("knows each piece's identity: the diffID of a layer of its own", func() {
		b := build(layer.Gzip, sample(a1), sample(a2), sample(b1))
		for i, m := range []layer.Member{sample(a1), sample(a2), sample(b1)} {
			Expect(b.Pieces[i].Ref).To(Equal(m.Ref))
			Expect(b.Pieces[i].ContentID.String()).To(Equal(diffID(build(layer.Zstd, m))))
		}
	})

	It("calls it a bug of its own when a piece is not what its ref says", func() {
		wrong := sample(a1)
		wrong.Ref = b1
		path := filepath.Join(GinkgoT().TempDir(), "layer")
		_, err := layer.Build(context.Background(), []layer.Member{wrong}, layer.BuildOptions{Kind: flatten.Buildpack, Path: path})
		var bug *layer.BugError
		Expect(errors.As(err, &bug)).To(BeTrue(), "%v", err)
		Expect(path).NotTo(BeAnExistingFile())
	})

	It("stops and leaves nothing when it is cancelled", func() {
		ctx, cancel := context.WithCancel(context.Background())
		path := filepath.Join(GinkgoT().TempDir(), "layer")
		_, err := layer.Build(ctx, []layer.Member{sample(a1), sample(b1)}, layer.BuildOptions{
			Kind: flatten.Buildpack, Path: path, Progress: func(int64) { cancel() },
		})
		Expect(err).To(MatchError(context.Canceled))
		Expect(path).NotTo(BeAnExistingFile())
	})

	It("returns one error when the disk is full", func() {
		if _, err := os.Stat("/dev/full"); err != nil {
			Skip("there is no /dev/full here")
		}
		// Build insists on a new file; the full device stands behind a writer of the same kind.
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		Expect(err).NotTo(HaveOccurred())
		defer full.Close()
		Expect(layer.WriteTo(full, sample(a1))).To(MatchError(ContainSubstring("no space left")))
	})
})

var _ = Describe("splitting", func() {
	It("returns what was joined, in any selection and order", func() {
		members := []layer.Member{sample(a1), sample(a2), sample(b1)}
		b := build(layer.Zstd, members...)
		pieces := fromShared(flatten.Buildpack, []flatten.Ref{b1, a1, a2}, "shared", GinkgoT().TempDir(), b.Open)
		for _, m := range slices.Backward(members) {
			Expect(diffID(build(layer.Gzip, layer.Member{Ref: m.Ref, Piece: pieces[m.Ref]}))).To(Equal(diffID(build(layer.Gzip, m))))
		}
		again := build(layer.Gzip, layer.Member{Ref: a1, Piece: pieces[a1]}, layer.Member{Ref: a2, Piece: pieces[a2]}, layer.Member{Ref: b1, Piece: pieces[b1]})
		Expect(diffID(again)).To(Equal(diffID(b)))
	})

	It("finds a layer of its own tidy, and knows its pieces", func() {
		b := build(layer.Gzip, sample(a1), sample(b1))
		report, err := layer.Inspect(context.Background(), flatten.Buildpack, []flatten.Ref{b1, a1}, b.Open)
		Expect(err).NotTo(HaveOccurred())
		Expect(report).To(Equal(layer.Report{Pieces: b.Pieces}))
	})
})
