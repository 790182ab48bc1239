package image_test

import (
	"context"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager/image"
	"laminate/packager/progress"
	"laminate/packager/stream"
)

func TestImage(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "packager/image")
}

// opened is the view of an image of one layer with these labels. DIFFID in a
// label stands for the diffID of the layer.
func opened(labels map[string]string) (*image.Image, error) {
	GinkgoHelper()
	raw, err := mutate.AppendLayers(empty.Image, static.NewLayer([]byte("x"), types.DockerUncompressedLayer))
	Expect(err).NotTo(HaveOccurred())
	config, err := raw.ConfigFile()
	Expect(err).NotTo(HaveOccurred())
	config.Config.Labels, config.OS, config.Architecture = labels, "linux", "arm64"
	raw, err = mutate.ConfigFile(raw, config)
	Expect(err).NotTo(HaveOccurred())
	return image.New(context.Background(), image.Raw{Image: raw, Name: "it", Stored: true, Limits: stream.Limits{}.OrDefault(), Log: progress.Discard})
}

func diffID() string {
	GinkgoHelper()
	img, err := opened(nil)
	Expect(err).NotTo(HaveOccurred())
	return img.Config.RootFS.DiffIDs[0].String()
}

var _ = Describe("an image", func() {
	DescribeTable("is of a kind, by its labels", func(want image.Kind, keys ...string) {
		labels := map[string]string{}
		for _, k := range keys {
			labels[k] = "{}"
		}
		img, err := opened(labels)
		Expect(err).NotTo(HaveOccurred())
		Expect(img.Kind()).To(Equal(want))
	},
		Entry("of none", image.Other, "maintainer"),
		Entry("a buildpackage", image.Buildpackage, flatten.BuildpackageMetadataLabel, flatten.BuildpackLayersLabel),
		Entry("an extension", image.Extension, flatten.BuildpackageMetadataLabel, flatten.ExtensionLayersLabel),
		Entry("a builder, which has labels of both kinds of layers", image.Builder, flatten.BuilderMetadataLabel, flatten.BuildpackLayersLabel, flatten.ExtensionLayersLabel),
		Entry("an app image", image.App, flatten.AppLayersLabel),
		Entry("a builder over an app image", image.Builder, flatten.BuilderMetadataLabel, flatten.AppLayersLabel),
		Entry("layers without metadata", image.Other, flatten.BuildpackLayersLabel),
	)

	It("lists its modules the same however often they are asked for", func() {
		img, err := opened(map[string]string{flatten.BuildpackLayersLabel: `{"a":{"1":{"api":"0.10","layerDiffID":"` + diffID() + `"},"2":{"api":"0.10","layerDiffID":"` + diffID() + `"}}}`})
		Expect(err).NotTo(HaveOccurred())
		for range 2 {
			modules, err := img.Modules(flatten.Buildpack)
			Expect(err).NotTo(HaveOccurred())
			Expect(modules).To(HaveLen(2))
			Expect(modules[1].Ref()).To(Equal(flatten.Ref{ID: "a", Version: "2"}))
			Expect(img.Contents()[0].Refs).To(Equal([]flatten.Ref{{ID: "a", Version: "1"}, {ID: "a", Version: "2"}}))
			modules[0] = nil // the caller's
			Expect(img.Holders(flatten.Buildpack)).To(Equal(img.Contents()))
			Expect(img.Holders(flatten.Extension)).To(BeEmpty())
		}
		Expect(img.Target).To(Equal(flatten.Target{OS: "linux", Arch: "arm64"}))
	})

	It("has the modules that are there beside those of a label that is wrong", func() {
		img, err := opened(map[string]string{flatten.BuildpackLayersLabel: `{"a":{"1":{"layerDiffID":"` + diffID() + `"},"2":{"layerDiffID":"sha256:` + v1Zero + `"}}}`})
		Expect(err).NotTo(HaveOccurred())
		_, err = img.Modules(flatten.Buildpack)
		Expect(err).To(MatchError(ContainSubstring("it: ")))
		found, err := img.Found(flatten.Buildpack)
		Expect(err).To(MatchError(ContainSubstring("label says that a@2 is in layer")))
		Expect(found).To(HaveLen(1))
		Expect(found[0].Ref()).To(Equal(flatten.Ref{ID: "a", Version: "1"}))
	})

	It("can be used as an image, whose layers are those that are verified", func() {
		img, err := opened(nil)
		Expect(err).NotTo(HaveOccurred())
		var plain v1.Image = img
		layers, err := plain.Layers()
		Expect(err).NotTo(HaveOccurred())
		Expect(layers).To(Equal([]v1.Layer{img.Contents()[0]}))
	})
})

const v1Zero = "0000000000000000000000000000000000000000000000000000000000000000"
