package source_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager/location"
	"laminate/packager/source"
)

// fifo puts a named pipe, which has no writer, in the place of a file.
func fifo(p string) string {
	GinkgoHelper()
	Expect(os.RemoveAll(p)).To(Succeed())
	Expect(syscall.Mkfifo(p, 0o600)).To(Succeed())
	return p
}

var _ = Describe("a named pipe or a device in the place of a file", func() {
	const isPipe, isDevice = "is a named pipe, not a regular file", "is a device, not a regular file"

	// tries opens a location in each way that a location is opened.
	tries := func(loc location.Location, why string) {
		GinkgoHelper()
		o := &source.Opener{WorkDir: GinkgoT().TempDir()}
		_, err := o.Package(context.Background(), loc, flatten.Buildpack, flatten.Target{})
		Expect(err).To(MatchError(ContainSubstring(why)))
		_, err = o.Image(context.Background(), loc, amd64)
		Expect(err).To(MatchError(ContainSubstring(why)))
		_, err = o.Tars(context.Background(), loc, amd64, func(string) bool { return false })
		Expect(err).To(MatchError(ContainSubstring(why)))
	}

	It("is refused as an archive", func(SpecContext) {
		pipe := fifo(filepath.Join(GinkgoT().TempDir(), "x.tgz"))
		for _, kind := range []location.Kind{location.Path, location.OCIArchive, location.DockerArchive} {
			tries(at(kind, pipe, ""), isPipe)
			tries(at(kind, "/dev/zero", ""), isDevice)
		}
	}, NodeTimeout(20*time.Second))

	It("is refused in a layout", func(SpecContext) {
		img := sample{target: amd64}.image()
		manifest, err := img.Digest()
		Expect(err).NotTo(HaveOccurred())
		config, err := img.ConfigName()
		Expect(err).NotTo(HaveOccurred())
		for _, name := range []string{"oci-layout", "index.json", "blobs/sha256/" + manifest.Hex, "blobs/sha256/" + config.Hex} {
			dir := layoutOfOne(img)
			fifo(filepath.Join(dir, filepath.FromSlash(name)))
			tries(at(location.OCILayout, dir, ""), isPipe)
		}
	}, NodeTimeout(20*time.Second))

	It("is refused as the blob of a layer", func(SpecContext) {
		img := sample{target: amd64}.image()
		dir := layoutOfOne(img)
		layers, err := img.Layers()
		Expect(err).NotTo(HaveOccurred())
		digest, err := layers[0].Digest()
		Expect(err).NotTo(HaveOccurred())
		fifo(filepath.Join(dir, "blobs", "sha256", digest.Hex))
		opened, err := opener().Image(context.Background(), at(location.OCILayout, dir, ""), flatten.Target{})
		Expect(err).NotTo(HaveOccurred())
		of, err := opened.Layers()
		Expect(err).NotTo(HaveOccurred())
		_, err = of[0].Compressed()
		Expect(err).To(MatchError(ContainSubstring(isPipe)))
	}, NodeTimeout(20*time.Second))

	It("is refused in a directory", func(SpecContext) {
		for _, name := range []string{"buildpack.toml", "bin/build", "data/file"} {
			dir := component("acme/a").dir()
			fifo(filepath.Join(dir, filepath.FromSlash(name)))
			Expect(openError(opener(), dir)).To(MatchError(Or(ContainSubstring(filepath.Base(name)+" is not a regular file"), ContainSubstring(name+" is a fifo"))))
		}
	}, NodeTimeout(20*time.Second))
})
