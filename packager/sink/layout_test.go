package sink_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager/location"
	"laminate/packager/sink"
)

func ociLayout(path, tag string) location.Location {
	return location.Location{Kind: location.OCILayout, Path: path, Ref: tag, Written: "oci:" + path}
}

// abandoned is a scratch directory that no process holds.
const abandoned = ".laminate-ABCDEFGHIJKLMNOPQRSTUVWXYZ.tmp"

// held is what index.json lists: tag -> digest.
func held(dir string) map[string]v1.Hash {
	GinkgoHelper()
	var index v1.IndexManifest
	Expect(json.Unmarshal([]byte(contentOf(dir, "index.json")), &index)).To(Succeed())
	all := map[string]v1.Hash{}
	for _, d := range index.Manifests {
		all[d.Annotations["org.opencontainers.image.ref.name"]] = d.Digest
	}
	Expect(all).To(HaveLen(len(index.Manifests)), "a tag stands twice")
	return all
}

// whole checks everything that the layout lists.
func whole(dir string) {
	GinkgoHelper()
	index, err := layout.ImageIndexFromPath(dir)
	Expect(err).NotTo(HaveOccurred())
	// The library's full check takes every layer for gzip: digests have to do.
	Expect(validate.Index(index, validate.Fast)).To(Succeed())
	for _, blob := range names(filepath.Join(dir, "blobs", "sha256")) {
		got, _, err := v1.SHA256(strings.NewReader(contentOf(dir, "blobs", "sha256", blob)))
		Expect(err).NotTo(HaveOccurred())
		Expect(got.Hex).To(Equal(blob))
	}
}

var _ = Describe("layouts", func() {
	var parent, dir string
	BeforeEach(func() {
		parent = GinkgoT().TempDir()
		dir = filepath.Join(parent, "layout")
	})
	write := func(ctx SpecContext, tag string, images ...sink.Image) []sink.Written {
		GinkgoHelper()
		written, err := sink.Write(ctx, ociLayout(dir, tag), images, sink.Options{})
		Expect(err).NotTo(HaveOccurred())
		whole(dir)
		Expect(names(parent)).To(Equal([]string{"layout"}))
		return written
	}

	It("are made new", func(ctx SpecContext) {
		img := imageOf(amd64, layerOf(1, 1000), layerOf(2, 1000), layerOf(1, 1000))
		written := write(ctx, "", img)
		Expect(bare(written)).To(Equal([]sink.Written{{Digest: ociDigest(img), Destination: "oci:" + dir}}))
		Expect(held(dir)).To(Equal(map[string]v1.Hash{"": ociDigest(img)}))
	})

	It("are made in an empty directory", func(ctx SpecContext) {
		Expect(os.Mkdir(dir, 0o755)).To(Succeed())
		img := imageOf(amd64, layerOf(1, 1000))
		write(ctx, "v1", img)
		Expect(held(dir)).To(Equal(map[string]v1.Hash{"v1": ociDigest(img)}))
	})

	DescribeTable("are made in what a killed run has left",
		func(ctx SpecContext, left func() error) {
			Expect(os.Mkdir(dir, 0o755)).To(Succeed())
			Expect(left()).To(Succeed())
			img := imageOf(amd64, layerOf(1, 1000))
			write(ctx, "v1", img)
			Expect(held(dir)).To(Equal(map[string]v1.Hash{"v1": ociDigest(img)}))
			Expect(leftovers(parent)).To(BeEmpty())
		},
		Entry("before anything has its name", func() error {
			return os.Mkdir(filepath.Join(dir, abandoned), 0o700)
		}),
		Entry("before there is a blob", func() error {
			return os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644)
		}),
		Entry("in the middle of a blob", func() error {
			return errors.Join(
				os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644),
				os.MkdirAll(filepath.Join(dir, "blobs", "sha256", abandoned), 0o755),
				os.WriteFile(filepath.Join(dir, "blobs", "sha256", abandoned, "blob"), []byte("half"), 0o644),
				os.Mkdir(filepath.Join(parent, abandoned), 0o700))
		}),
	)

	It("keep their other images", func(ctx SpecContext) {
		one, two, three := imageOf(amd64, layerOf(1, 1000)), imageOf(amd64, layerOf(2, 1000)), imageOf(amd64, layerOf(3, 1000))
		Expect(write(ctx, "v1", one)[0].Destination).To(Equal("oci:" + dir + ":v1"))
		write(ctx, "v2", two)
		Expect(held(dir)).To(Equal(map[string]v1.Hash{"v1": ociDigest(one), "v2": ociDigest(two)}))
		write(ctx, "v1", three)
		Expect(held(dir)).To(Equal(map[string]v1.Hash{"v1": ociDigest(three), "v2": ociDigest(two)}))
		write(ctx, "", one)
		write(ctx, "", two)
		Expect(held(dir)).To(Equal(map[string]v1.Hash{"v1": ociDigest(three), "v2": ociDigest(two), "": ociDigest(two)}))
	})

	It("reuse the blobs that are good and replace the others", func(ctx SpecContext) {
		good, bad := layerOf(1, 1000), layerOf(2, 1000)
		write(ctx, "v1", imageOf(amd64, good, bad))
		digest, err := bad.Digest()
		Expect(err).NotTo(HaveOccurred())
		path := filepath.Join(dir, "blobs", "sha256", digest.Hex)
		raw := []byte(contentOf(path))
		raw[len(raw)-1] ^= 1
		Expect(os.WriteFile(path, raw, 0o644)).To(Succeed())

		log := &recorded{}
		_, err = sink.Write(ctx, ociLayout(dir, "v2"), []sink.Image{imageOf(amd64, good, bad, layerOf(3, 10))}, sink.Options{Log: log, Jobs: 1})
		Expect(err).NotTo(HaveOccurred())
		whole(dir)
		Expect(log.lines).To(ConsistOf(HavePrefix("reused layer"), HavePrefix("writing layer"), HavePrefix("writing layer"), "done", "done"))
	})

	It("hold an index for several targets", func(ctx SpecContext) {
		ubuntu := flatten.Target{OS: "linux", Arch: "arm64", Variant: "v8", Distros: []flatten.Distro{{Name: "ubuntu", Version: "24.04"}}}
		images := []sink.Image{imageOf(amd64, layerOf(1, 1000)), imageOf(ubuntu, layerOf(2, 1000))}
		written := write(ctx, "v1", images...)
		Expect(held(dir)).To(Equal(map[string]v1.Hash{"v1": written[0].Digest}))
		root, err := layout.ImageIndexFromPath(dir)
		Expect(err).NotTo(HaveOccurred())
		index, err := root.ImageIndex(written[0].Digest)
		Expect(err).NotTo(HaveOccurred())
		manifest, err := index.IndexManifest()
		Expect(err).NotTo(HaveOccurred())
		Expect(manifest.MediaType).To(Equal(types.OCIImageIndex))
		Expect(manifest.Manifests).To(HaveLen(2))
		Expect(manifest.Manifests[0].Digest).To(Equal(ociDigest(images[0])))
		Expect(manifest.Manifests[0].Platform).To(Equal(&v1.Platform{OS: "linux", Architecture: "amd64"}))
		Expect(manifest.Manifests[1].Platform).To(Equal(&v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8", OSVersion: "24.04"}))
	})

	It("hold an OCI index for OCI images", func(ctx SpecContext) {
		written := write(ctx, "", oci(imageOf(amd64, zstdLayer(1, 1000))), oci(imageOf(arm64, zstdLayer(2, 1000))))
		root, err := layout.ImageIndexFromPath(dir)
		Expect(err).NotTo(HaveOccurred())
		index, err := root.ImageIndex(written[0].Digest)
		Expect(err).NotTo(HaveOccurred())
		Expect(index.MediaType()).To(Equal(types.OCIImageIndex))
	})

	It("refuse two images for one platform", func(ctx SpecContext) {
		_, err := sink.Write(ctx, ociLayout(dir, ""), []sink.Image{imageOf(amd64, layerOf(1, 10)), imageOf(amd64, layerOf(2, 10))}, sink.Options{})
		Expect(err).To(MatchError("index: duplicate platform linux/amd64"))
		Expect(names(parent)).To(BeEmpty())
	})

	DescribeTable("are refused where something else is", func(ctx SpecContext, file, content, message string) {
		Expect(os.Mkdir(dir, 0o755)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644)).To(Succeed())
		_, err := sink.Write(ctx, ociLayout(dir, ""), []sink.Image{imageOf(amd64, layerOf(1, 10))}, sink.Options{})
		Expect(err).To(MatchError(ContainSubstring(message)))
		Expect(names(dir)).To(Equal([]string{file}))
	},
		Entry("a directory of other files", "notes.txt", "mine", "is neither empty nor an OCI layout"),
		Entry("another version", "oci-layout", `{"imageLayoutVersion":"2.0.0"}`, `unsupported OCI layout version "2.0.0"`),
		Entry("not JSON", "oci-layout", `nonsense`, "oci-layout: invalid character"),
	)

	It("are refused where a file stands and where there is no directory", func(ctx SpecContext) {
		Expect(os.WriteFile(dir, []byte("mine"), 0o644)).To(Succeed())
		img := []sink.Image{imageOf(amd64, layerOf(1, 10))}
		_, err := sink.Write(ctx, ociLayout(dir, ""), img, sink.Options{})
		Expect(err).To(MatchError("output " + dir + ": not a directory"))
		_, err = sink.Write(ctx, ociLayout(filepath.Join(parent, "a", "b"), ""), img, sink.Options{})
		Expect(err).To(MatchError(ContainSubstring("missing directory")))
		Expect(contentOf(dir)).To(Equal("mine"))
	})

	// tree is every file below the layout and what it holds.
	tree := func() map[string]string {
		GinkgoHelper()
		all := map[string]string{}
		Expect(filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				all[path] = contentOf(path)
			}
			return err
		})).To(Succeed())
		return all
	}

	DescribeTable("that do not get finished leave nothing", func(ctx SpecContext, state string) {
		before := map[string]string{}
		switch state {
		case "empty":
			Expect(os.Mkdir(dir, 0o755)).To(Succeed())
		case "filled":
			write(ctx, "v1", imageOf(amd64, layerOf(1, 1000)))
			before = tree()
		}
		try := func(ctx context.Context, img sink.Image) error {
			_, err := sink.Write(ctx, ociLayout(dir, "v1"), []sink.Image{img}, sink.Options{})
			return err
		}
		unchanged := func() {
			GinkgoHelper()
			if state == "" {
				Expect(names(parent)).To(BeEmpty())
				return
			}
			Expect(tree()).To(Equal(before))
			if state == "empty" {
				Expect(names(dir)).To(BeEmpty())
			}
		}
		By("a lying layer")
		Expect(try(ctx, reread(imageOf(amd64, layerOf(1, 1000), layerOf(2, 200_000)), flipped))).To(MatchError(ContainSubstring("content is")))
		unchanged()
		By("cancellation")
		cctx, cancel, soon := interruptible(ctx)
		Expect(try(cctx, reread(imageOf(amd64, layerOf(2, 3_000_000)), cancelling(cancel, 1_000_000)))).To(MatchError(context.Canceled))
		soon()
		unchanged()
		By("a full disk")
		img := imageOf(amd64, layerOf(2, 1000), layerOf(3, 3_000_000))
		var err error
		withFileLimit(1_000_000, func() { err = try(ctx, img) })
		Expect(err).To(MatchError("output " + dir + ": file too large"))
		unchanged()
	},
		Entry("where nothing was", ""),
		Entry("in an empty directory", "empty"),
		Entry("in a layout", "filled"),
	)
})

var _ = Describe("a layout that is there", func() {
	write := func(dir string) error {
		_, err := sink.Write(context.Background(), ociLayout(dir, "x"), []sink.Image{imageOf(flatten.Target{OS: "linux", Arch: "amd64"}, layerOf(1, 100))}, sink.Options{})
		return err
	}

	It("with a named pipe in it is refused, and not waited for", func(SpecContext) {
		for _, name := range []string{"oci-layout", "index.json"} {
			dir := GinkgoT().TempDir()
			Expect(write(dir)).To(Succeed())
			Expect(os.Remove(filepath.Join(dir, name))).To(Succeed())
			Expect(syscall.Mkfifo(filepath.Join(dir, name), 0o600)).To(Succeed())
			Expect(write(dir)).NotTo(Succeed())
		}
	}, NodeTimeout(20*time.Second))

	It("with an index.json of very many entries is refused", func() {
		dir := GinkgoT().TempDir()
		Expect(write(dir)).To(Succeed())
		file := filepath.Join(dir, "index.json")
		crowded := `{"schemaVersion":2,"manifests":[` + strings.Repeat("{},", 100_000) + `{}]}`
		Expect(os.WriteFile(file, []byte(crowded), 0o600)).To(Succeed())
		Expect(write(dir)).To(MatchError("output " + file + ": too many JSON entries: 100003, the limit is 100000"))
		Expect(contentOf(file)).To(Equal(crowded))
	})
})
