package sink_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager/location"
	"laminate/packager/sink"
)

// entry is one entry of a tar archive.
type entry struct {
	tar.Header
	body []byte
}

func entries(file string) []entry {
	GinkgoHelper()
	f, err := os.Open(file)
	Expect(err).NotTo(HaveOccurred())
	defer f.Close()
	var all []entry
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		Expect(err).NotTo(HaveOccurred())
		body, err := io.ReadAll(r)
		Expect(err).NotTo(HaveOccurred())
		all = append(all, entry{*h, body})
	}
}

// unpacked is a layout archive as a layout that the library reads.
func unpacked(file string) layout.Path {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	for _, e := range entries(file) {
		path := filepath.Join(dir, e.Name)
		if e.Typeflag == tar.TypeDir {
			Expect(os.MkdirAll(path, 0o755)).To(Succeed())
			continue
		}
		Expect(os.WriteFile(path, e.body, 0o644)).To(Succeed())
	}
	p, err := layout.FromPath(dir)
	Expect(err).NotTo(HaveOccurred())
	return p
}

func cnb(path string) location.Location {
	return location.Location{Kind: location.Path, Path: path, Written: path}
}

func ociArchive(path, tag string) location.Location {
	return location.Location{Kind: location.OCIArchive, Path: path, Ref: tag, Written: "oci-archive:" + path}
}

func dockerArchive(path, ref string) location.Location {
	return location.Location{Kind: location.DockerArchive, Path: path, Ref: ref, Written: "docker-archive:" + path}
}

var _ = Describe("files", func() {
	var dir string
	BeforeEach(func() { dir = GinkgoT().TempDir() })

	write := func(ctx SpecContext, dest location.Location, images ...sink.Image) ([]sink.Written, error) {
		return sink.Write(ctx, dest, images, sink.Options{})
	}

	DescribeTable("are an OCI layout that holds the image", func(ctx SpecContext, change func(sink.Image) sink.Image, dest func(string, string) location.Location) {
		img := change(imageOf(amd64, layerOf(1, 1000), layerOf(2, 300_000), layerOf(1, 1000)))
		file := filepath.Join(dir, "out.cnb")
		written, err := write(ctx, dest(file, "v1"), img)
		Expect(err).NotTo(HaveOccurred())
		digest, mt := digestOf(img), must(img.MediaType())
		if dest("", "").Kind == location.OCIArchive {
			digest, mt = ociDigest(img), types.OCIManifestSchema1
		}
		Expect(written).To(HaveLen(1))
		Expect(written[0].Digest).To(Equal(digest))

		all := entries(file)
		var listed []string
		for _, e := range all {
			listed = append(listed, e.Name)
			Expect(e.ModTime.UTC()).To(Equal(time.Date(1980, 1, 1, 0, 0, 1, 0, time.UTC)), e.Name)
			Expect([]any{e.Uid, e.Gid, e.Uname, e.Gname, e.PAXRecords}).To(Equal([]any{0, 0, "", "", map[string]string(nil)}), e.Name)
			Expect(e.Mode).To(Equal(map[byte]int64{tar.TypeDir: 0o755, tar.TypeReg: 0o644}[e.Typeflag]), e.Name)
		}
		Expect(listed[:4]).To(Equal([]string{"oci-layout", "index.json", "blobs/", "blobs/sha256/"}))
		Expect(listed[4:]).To(HaveLen(4)) // manifest, config, two layers of which one stands twice
		Expect(strings.Join(listed[4:], " ")).To(Equal(strings.Join(sortedCopy(listed[4:]), " ")))

		p := unpacked(file)
		got, err := p.Image(digest)
		Expect(err).NotTo(HaveOccurred())
		Expect(validate.Image(got)).To(Succeed())
		var index v1.IndexManifest
		Expect(json.Unmarshal(all[1].body, &index)).To(Succeed())
		Expect(index.Manifests).To(HaveLen(1))
		Expect(index.Manifests[0].Platform.String()).To(Equal("linux/amd64"))
		Expect(index.Manifests[0].MediaType).To(Equal(mt))
		if tag := dest("", "v1").Ref; tag != "" {
			Expect(index.Manifests[0].Annotations).To(Equal(map[string]string{"org.opencontainers.image.ref.name": tag}))
			Expect(written[0].Destination).To(Equal("oci-archive:" + file + ":v1"))
		} else {
			Expect(index.Manifests[0].Annotations).To(BeEmpty())
			Expect(written[0].Destination).To(Equal(file))
		}
	},
		Entry("a .cnb, Docker", func(i sink.Image) sink.Image { return i }, func(f, _ string) location.Location { return cnb(f) }),
		Entry("a .cnb, OCI", oci, func(f, _ string) location.Location { return cnb(f) }),
		Entry("an oci-archive", oci, ociArchive),
		Entry("an oci-archive of a Docker image", func(i sink.Image) sink.Image { return i }, ociArchive),
	)

	It("are the same bytes every time, under any umask", func(ctx SpecContext) {
		img := imageOf(amd64, layerOf(1, 1000), layerOf(2, 2000))
		for i, umask := range []int{0o022, 0o077} {
			old := syscall.Umask(umask)
			DeferCleanup(func() { syscall.Umask(old) })
			out := string(rune('a' + i))
			for _, dest := range []location.Location{
				cnb(filepath.Join(dir, out+".cnb")),
				ociArchive(filepath.Join(dir, out+".oci"), "t"),
				dockerArchive(filepath.Join(dir, out+".tar"), "x:1"),
			} {
				_, err := sink.Write(ctx, dest, []sink.Image{img}, sink.Options{Tags: tagsOnly(dest, "y:1", "z:1", "x:1")})
				Expect(err).NotTo(HaveOccurred())
				info, err := os.Stat(dest.Path)
				Expect(err).NotTo(HaveOccurred())
				Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o666 &^ umask)))
			}
			syscall.Umask(old)
		}
		for _, ext := range []string{".cnb", ".oci", ".tar"} {
			Expect(contentOf(dir, "a"+ext) == contentOf(dir, "b"+ext)).To(BeTrue(), ext)
		}
		Expect(names(dir)).To(HaveLen(6))
	})

	DescribeTable("docker-archives", func(ctx SpecContext, ref string, tags, want []string) {
		img := imageOf(amd64, layerOf(1, 1000), layerOf(2, 2000), layerOf(1, 1000))
		file := filepath.Join(dir, "out.tar")
		written, err := sink.Write(ctx, dockerArchive(file, ref), []sink.Image{img}, sink.Options{Tags: tags})
		Expect(err).NotTo(HaveOccurred())
		id, err := img.ConfigName()
		Expect(err).NotTo(HaveOccurred())
		Expect(written[0].Digest).To(Equal(id))
		manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(file) })
		Expect(err).NotTo(HaveOccurred())
		Expect(manifest).To(HaveLen(1))
		Expect(manifest[0].RepoTags).To(Equal(want))
		Expect(manifest[0].Layers).To(HaveLen(3))
		var tag *name.Tag
		if ref != "" {
			t, err := name.NewTag(ref)
			Expect(err).NotTo(HaveOccurred())
			tag = &t
		}
		got, err := tarball.ImageFromPath(file, tag)
		Expect(err).NotTo(HaveOccurred())
		Expect(validate.Image(got)).To(Succeed())
		Expect(got.ConfigName()).To(Equal(id))
	},
		Entry("have no tag without a reference", "", nil, nil),
		Entry("have the reference's", "a/b", nil, []string{"a/b:latest"}),
		Entry("have all tags once, in order", "a/b:1", []string{"c:2", "localhost:5000/x", "a/b:1"}, []string{"a/b:1", "c:2", "localhost:5000/x:latest"}),
	)

	It("docker-archives hold zstd layers as plain tar, and the image ID stays", func(ctx SpecContext) {
		img := oci(imageOf(amd64, zstdLayer(1, 100_000)))
		file := filepath.Join(dir, "out.tar")
		written, err := write(ctx, dockerArchive(file, "x"), img)
		Expect(err).NotTo(HaveOccurred())
		layers, err := img.Layers()
		Expect(err).NotTo(HaveOccurred())
		diffID, err := layers[0].DiffID()
		Expect(err).NotTo(HaveOccurred())
		all := entries(file)
		Expect(all[1].Name).To(Equal(diffID.Hex + ".tar"))
		got, _, err := v1.SHA256(bytes.NewReader(all[1].body))
		Expect(err).NotTo(HaveOccurred())
		Expect(got).To(Equal(diffID))
		Expect(img.ConfigName()).To(Equal(written[0].Digest))
	})

	It("are refused what cannot be a file", func(ctx SpecContext) {
		img := imageOf(amd64, layerOf(1, 10))
		_, err := write(ctx, cnb(dir), img)
		Expect(err).To(MatchError("output " + dir + ": is a directory"))
		_, err = write(ctx, cnb(filepath.Join(dir, "no", "x.cnb")), img)
		Expect(err).To(MatchError("output " + dir + "/no/x.cnb: missing directory " + dir + "/no"))
		_, err = write(ctx, cnb("/dev/null"), img)
		Expect(err).To(MatchError("output /dev/null: is not a regular file"))
		_, err = sink.Write(ctx, cnb(filepath.Join(dir, "x.cnb")), []sink.Image{img}, sink.Options{Tags: []string{"x"}})
		Expect(err).To(MatchError(ContainSubstring("more than one tag requires a registry")))
		_, err = write(ctx, cnb(filepath.Join(dir, "x.cnb")))
		Expect(err).To(MatchError(ContainSubstring("no image")))
		Expect(names(dir)).To(BeEmpty())
	})

	It("follow a symbolic link and leave it one", func(ctx SpecContext) {
		Expect(os.Mkdir(filepath.Join(dir, "real"), 0o755)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(dir, "real", "x.cnb"), nil, 0o644)).To(Succeed())
		Expect(os.Symlink("real/x.cnb", filepath.Join(dir, "x.cnb"))).To(Succeed())
		_, err := write(ctx, cnb(filepath.Join(dir, "x.cnb")), imageOf(amd64, layerOf(1, 10)))
		Expect(err).NotTo(HaveOccurred())
		Expect(os.Readlink(filepath.Join(dir, "x.cnb"))).To(Equal("real/x.cnb"))
		Expect(contentOf(dir, "real", "x.cnb")).NotTo(BeEmpty())
	})

	DescribeTable("of several targets have names of their own", func(ctx SpecContext, file string, targets []string, want []string) {
		var images []sink.Image
		for i, s := range targets {
			t, err := flatten.ParseTarget(s)
			Expect(err).NotTo(HaveOccurred())
			images = append(images, imageOf(t, layerOf(int64(i), 100)))
		}
		written, err := write(ctx, cnb(filepath.Join(dir, file)), images...)
		Expect(err).NotTo(HaveOccurred())
		var got []string
		for i, w := range written {
			got = append(got, filepath.Base(w.Destination))
			Expect(images[i].Digest()).To(Equal(w.Digest))
			_, err := unpacked(w.Destination).Image(w.Digest)
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(got).To(Equal(want))
		Expect(names(dir)).To(ConsistOf(want))
	},
		Entry("by os and arch", "x.cnb", []string{"linux/amd64", "linux/arm64/v8"}, []string{"x-linux-amd64.cnb", "x-linux-arm64.cnb"}),
		Entry("by variant where needed", "x.cnb", []string{"linux/amd64", "linux/arm/v6", "linux/arm/v7"}, []string{"x-linux-amd64.cnb", "x-linux-arm-v6.cnb", "x-linux-arm-v7.cnb"}),
		Entry("by distribution where needed", "x.cnb", []string{"linux/amd64:ubuntu@22.04", "linux/amd64:ubuntu@24.04", "linux/arm64:ubuntu@24.04"},
			[]string{"x-linux-amd64-ubuntu-22.04.cnb", "x-linux-amd64-ubuntu-24.04.cnb", "x-linux-arm64.cnb"}),
		Entry("with a version in the name", "go-1.2", []string{"linux/amd64", "linux/arm64"}, []string{"go-1.2-linux-amd64", "go-1.2-linux-arm64"}),
		Entry("with two extensions", "x.tar.gz", []string{"linux/amd64", "linux/arm64"}, []string{"x-linux-amd64.tar.gz", "x-linux-arm64.tar.gz"}),
	)

	It("of several targets must not clash", func(ctx SpecContext) {
		_, err := write(ctx, cnb(filepath.Join(dir, "x.cnb")), imageOf(amd64, layerOf(1, 10)), imageOf(amd64, layerOf(2, 10)))
		Expect(err).To(MatchError(ContainSubstring(`x-linux-amd64.cnb: conflict between target "linux/amd64" and target "linux/amd64"`)))
		odd := imageOf(amd64, layerOf(2, 10))
		odd.Target.Distros = []flatten.Distro{{Name: "../../x", Version: "1"}}
		_, err = write(ctx, cnb(filepath.Join(dir, "x.cnb")), imageOf(amd64, layerOf(1, 10)), odd)
		Expect(err).To(MatchError(ContainSubstring("cannot be part of a file name")))
		Expect(names(dir)).To(BeEmpty())
	})

	It("are refused for an image that contradicts its target", func(ctx SpecContext) {
		img := imageOf(arm64, layerOf(1, 10))
		img.Target = amd64
		_, err := write(ctx, cnb(filepath.Join(dir, "x.cnb")), img)
		Expect(err).To(MatchError("image for linux/amd64: config: platform is linux/arm64, target is linux/amd64"))
	})

	// Every way to break off must leave what was there, and nothing else.
	Describe("that do not get finished", func() {
		kinds := map[string]func(string) location.Location{
			"x.cnb": cnb,
			"x.oci": func(p string) location.Location { return ociArchive(p, "") },
			"x.tar": func(p string) location.Location { return dockerArchive(p, "x") },
		}
		untouched := func() {
			GinkgoHelper()
			for file := range kinds {
				Expect(contentOf(dir, file)).To(Equal("previous"))
			}
			Expect(names(dir)).To(HaveLen(len(kinds)))
		}
		BeforeEach(func() {
			for file := range kinds {
				Expect(os.WriteFile(filepath.Join(dir, file), []byte("previous"), 0o644)).To(Succeed())
			}
		})

		DescribeTable("for a lying layer", func(ctx SpecContext, change func(io.ReadCloser) io.ReadCloser, message string) {
			img := imageOf(amd64, layerOf(1, 100_000))
			layers, err := img.Layers()
			Expect(err).NotTo(HaveOccurred())
			digest, err := layers[0].Digest()
			Expect(err).NotTo(HaveOccurred())
			for file, dest := range kinds {
				_, err := write(ctx, dest(filepath.Join(dir, file)), reread(img, change))
				Expect(err).To(MatchError(ContainSubstring("layer "+digest.String()+": "+message)), file)
			}
			untouched()
		},
			Entry("of other content", flipped, "content is sha256:"),
			Entry("that is too short", cut, "1 bytes shorter than its size"),
			Entry("that is too long", longer, "longer than its size"),
		)

		It("for a zstd layer whose diffID is wrong", func(ctx SpecContext) {
			img := oci(imageOf(amd64, zstdLayer(1, 1000)))
			img.Image = altered{Image: img.Image, layers: []v1.Layer{withDiffID(img, layerOf(2, 1000))}}
			_, err := write(ctx, kinds["x.tar"](filepath.Join(dir, "x.tar")), img)
			Expect(err).To(MatchError(ContainSubstring("content is sha256:")))
			untouched()
		})

		It("for one target of several", func(ctx SpecContext) {
			for file, dest := range kinds {
				_, err := write(ctx, dest(filepath.Join(dir, file)), imageOf(amd64, layerOf(1, 1000)), reread(imageOf(arm64, layerOf(2, 1000)), flipped))
				Expect(err).To(HaveOccurred())
			}
			untouched()
		})

		It("for cancellation", func(ctx SpecContext) {
			for file, dest := range kinds {
				ctx, cancel, soon := interruptible(ctx)
				img := reread(imageOf(amd64, layerOf(1, 3_000_000)), cancelling(cancel, 1_000_000))
				_, err := sink.Write(ctx, dest(filepath.Join(dir, file)), []sink.Image{img}, sink.Options{})
				Expect(err).To(MatchError(context.Canceled))
				soon()
			}
			untouched()
		})

		It("for a full disk", func(ctx SpecContext) {
			img := imageOf(amd64, layerOf(1, 3_000_000))
			for file, dest := range kinds {
				var err error
				withFileLimit(1_000_000, func() { _, err = write(ctx, dest(filepath.Join(dir, file)), img) })
				Expect(err).To(MatchError("output " + filepath.Join(dir, file) + ": file too large"))
			}
			untouched()
		})
	})
})

// withFileLimit runs f while no file may grow larger: to a writer that is what a full disk is.
func withFileLimit(bytes uint64, f func()) {
	GinkgoHelper()
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var old syscall.Rlimit
	Expect(syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old)).To(Succeed())
	Expect(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: old.Max})).To(Succeed())
	defer func() { Expect(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old)).To(Succeed()) }()
	f()
}

func tagsOnly(dest location.Location, tags ...string) []string {
	if dest.Kind == location.DockerArchive {
		return tags
	}
	return nil
}

// withDiffID is the image's only layer, with the uncompressed content of another.
func withDiffID(img sink.Image, other v1.Layer) v1.Layer {
	GinkgoHelper()
	layers, err := img.Layers()
	Expect(err).NotTo(HaveOccurred())
	Expect(layers[0].MediaType()).To(Equal(types.OCILayerZStd))
	return otherInside{layers[0], other}
}

type otherInside struct {
	v1.Layer
	other v1.Layer
}

func (l otherInside) Uncompressed() (io.ReadCloser, error) { return l.other.Uncompressed() }

func sortedCopy(all []string) []string { return slices.Sorted(slices.Values(all)) }
