package sink_test

import (
	"context"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"laminate/packager/sink"
)

// bare leaves what was written and where.
func bare(written []sink.Written) []sink.Written {
	var all []sink.Written
	for _, w := range written {
		all = append(all, sink.Written{Digest: w.Digest, Destination: w.Destination})
	}
	return all
}

var _ = Describe("what was written", func() {
	var images []sink.Image
	facts := func(img sink.Image, digest v1.Hash, mediaType types.MediaType) sink.WrittenImage {
		GinkgoHelper()
		m, err := img.Manifest()
		Expect(err).NotTo(HaveOccurred())
		w := sink.WrittenImage{Target: img.Target, Digest: digest, ID: m.Config.Digest, MediaType: mediaType, Layers: len(m.Layers)}
		seen := map[v1.Hash]bool{}
		for _, d := range append([]v1.Descriptor{m.Config}, m.Layers...) {
			if !seen[d.Digest] {
				w.Bytes += d.Size
			}
			seen[d.Digest] = true
		}
		return w
	}
	size := func(w sink.WrittenImage, manifest int64) sink.WrittenImage {
		w.Bytes += manifest
		return w
	}
	BeforeEach(func() {
		images = []sink.Image{imageOf(amd64, layerOf(1, 1000), layerOf(2, 500), layerOf(1, 1000)), imageOf(arm64, layerOf(3, 700))}
	})
	manifestSize := func(img sink.Image) int64 {
		raw, err := img.RawManifest()
		Expect(err).NotTo(HaveOccurred())
		return int64(len(raw))
	}

	It("says what images a file, an index and a tag of one of them hold", func(ctx SpecContext) {
		docker := func(i int) sink.WrittenImage {
			return size(facts(images[i], digestOf(images[i]), types.DockerManifestSchema2), manifestSize(images[i]))
		}
		written, err := sink.Write(ctx, cnb(filepath.Join(GinkgoT().TempDir(), "x.cnb")), images, sink.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(written).To(HaveLen(2))
		for i, w := range written {
			Expect(w.MediaType).To(Equal(types.DockerManifestSchema2))
			Expect(w.Images).To(Equal([]sink.WrittenImage{docker(i)}))
		}

		host := newRegistry().host
		written, err = sink.Write(context.Background(), inRegistry(host+"/a:1"), images, sink.Options{Tags: []string{host + "/a:2"}, Suffix: true})
		Expect(err).NotTo(HaveOccurred())
		Expect(written).To(HaveLen(4))
		for _, w := range written[:2] {
			Expect(w.MediaType).To(Equal(types.DockerManifestList))
			Expect(w.Images).To(Equal([]sink.WrittenImage{docker(0), docker(1)}))
		}
		Expect(written[3].Destination).To(HaveSuffix("/a:1-linux-arm64"))
		Expect(written[3].Images).To(Equal([]sink.WrittenImage{docker(1)}))
	})

	It("gives the media types that an OCI layout has, and none where no manifest is kept", func(ctx SpecContext) {
		written, err := sink.Write(ctx, ociLayout(filepath.Join(GinkgoT().TempDir(), "layout"), ""), images[:1], sink.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(written).To(HaveLen(1))
		Expect(written[0].MediaType).To(Equal(types.OCIManifestSchema1))
		Expect(written[0].Images[0].MediaType).To(Equal(types.OCIManifestSchema1))
		Expect(written[0].Images[0].Digest).To(Equal(ociDigest(images[0])))

		written, err = sink.Write(ctx, dockerArchive(filepath.Join(GinkgoT().TempDir(), "x.tar"), ""), images[:1], sink.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(written[0].MediaType).To(BeEmpty())
		Expect(written[0].Images).To(Equal([]sink.WrittenImage{facts(images[0], v1.Hash{}, "")}))
	})
})
