package sink_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager/sink"
)

// lying is a layer with a file of its own.
type lying struct {
	v1.Layer
	file string
}

func (l lying) File() string { return l.file }

func (l lying) Compressed() (io.ReadCloser, error) { return os.Open(l.file) }

// reopened is a layer with a file of its own that is read another way.
type reopened struct {
	lying
	open func() (io.ReadCloser, error)
}

func (r reopened) Compressed() (io.ReadCloser, error) { return r.open() }

var _ = Describe("a blob that lies in another layout", func() {
	var dir, file string
	var l v1.Layer
	var digest v1.Hash
	var content []byte
	BeforeEach(func() {
		dir = filepath.Join(GinkgoT().TempDir(), "layout")
		l = layerOf(1, 100_000)
		var err error
		digest, err = l.Digest()
		Expect(err).NotTo(HaveOccurred())
		blob, err := l.Compressed()
		Expect(err).NotTo(HaveOccurred())
		content, err = io.ReadAll(blob)
		Expect(err).NotTo(HaveOccurred())
		file = filepath.Join(GinkgoT().TempDir(), "blob")
		Expect(os.WriteFile(file, content, 0o644)).To(Succeed())
	})
	written := func() string { return filepath.Join(dir, "blobs", "sha256", digest.Hex) }
	write := func(ctx SpecContext) error {
		_, err := sink.Write(ctx, ociLayout(dir, "1"), []sink.Image{imageOf(flatten.Target{OS: "linux", Arch: "amd64"}, lying{l, file})}, sink.Options{})
		return err
	}

	It("gets a second name", func(ctx SpecContext) {
		Expect(write(ctx)).To(Succeed())
		a, err := os.Lstat(file)
		Expect(err).NotTo(HaveOccurred())
		b, err := os.Lstat(written())
		Expect(err).NotTo(HaveOccurred())
		Expect(os.SameFile(a, b)).To(BeTrue())
		whole(dir)
	})

	It("is copied where it is a link itself", func(ctx SpecContext) {
		real := file + ".real"
		Expect(os.Rename(file, real)).To(Succeed())
		Expect(os.Symlink(real, file)).To(Succeed())
		Expect(write(ctx)).To(Succeed())
		info, err := os.Lstat(written())
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().IsRegular()).To(BeTrue())
		whole(dir)
	})

	DescribeTable("is copied where another user could change it afterwards",
		func(ctx SpecContext, expose func(file string) error, needsRoot bool) {
			if needsRoot && os.Geteuid() != 0 {
				Skip("only root can give a file to another user")
			}
			Expect(expose(file)).To(Succeed())
			Expect(write(ctx)).To(Succeed())
			a, err := os.Lstat(file)
			Expect(err).NotTo(HaveOccurred())
			b, err := os.Lstat(written())
			Expect(err).NotTo(HaveOccurred())
			Expect(os.SameFile(a, b)).To(BeFalse())
			Expect(b.Sys().(*syscall.Stat_t).Uid).To(BeEquivalentTo(os.Geteuid()))
			whole(dir)
		},
		Entry("a file of another user", func(file string) error { return os.Chown(file, 1, 1) }, true),
		Entry("a file that its group can write to", func(file string) error { return os.Chmod(file, 0o664) }, false),
		Entry("a file that every user can write to", func(file string) error { return os.Chmod(file, 0o666) }, false),
		Entry("a directory of another user", func(file string) error { return os.Chown(filepath.Dir(file), 1, 1) }, true),
		Entry("a directory that every user can write to", func(file string) error { return os.Chmod(filepath.Dir(file), 0o777) }, false),
	)

	It("counts once where another file takes its place while it is read", func(ctx SpecContext) {
		replaced := 0
		l := reopened{lying{l, file}, func() (io.ReadCloser, error) {
			if replaced++; replaced == 1 {
				Expect(os.WriteFile(file+".new", content, 0o644)).To(Succeed())
				Expect(os.Rename(file+".new", file)).To(Succeed())
			}
			return os.Open(file)
		}}
		log := &recorded{}
		_, err := sink.Write(ctx, ociLayout(dir, "1"), []sink.Image{imageOf(amd64, l)}, sink.Options{Log: log})
		Expect(err).NotTo(HaveOccurred())
		Expect(replaced).To(Equal(2))
		Expect(log.lines).To(Equal([]string{"writing layer " + digest.Hex[:12], "done"}))
		Expect(log.bytes).To(BeEquivalentTo(len(content)))
		whole(dir)
	})

	It("is read all the same, and refused where it is not what it should be", func(ctx SpecContext) {
		spoilt := bytes.Clone(content)
		spoilt[len(spoilt)/2] ^= 1
		Expect(os.WriteFile(file, spoilt, 0o644)).To(Succeed())
		Expect(write(ctx)).To(MatchError(ContainSubstring("content is sha256:")))
		Expect(dir).NotTo(BeADirectory())
		Expect(file).To(BeARegularFile())
	})
})
