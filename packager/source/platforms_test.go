package source_test

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/location"
	"laminate/packager/source"
)

var _ = Describe("the images of a location for all platforms", func() {
	platforms := func(loc location.Location, target flatten.Target) (*source.Platforms, []string) {
		GinkgoHelper()
		found, err := opener().Platforms(context.Background(), loc, target)
		Expect(err).NotTo(HaveOccurred(), loc.Written)
		var names []string
		for _, img := range found.Images {
			names = append(names, img.Target.String())
		}
		return found, names
	}

	It("are those of its index, in order, without attestations; with a target, that one", func() {
		idx := withIndexPlatform(index(arm64, amd64), sample{compression: layer.Gzip, target: arm64}.image(), v1.Platform{OS: "unknown", Architecture: "unknown"})
		for _, loc := range places(idx) {
			found, names := platforms(loc, flatten.Target{})
			Expect(names).To(Equal([]string{"linux/arm64", "linux/amd64"}))
			Expect(found.Index).To(Equal(must(idx.Digest())))
			_, names = platforms(loc, amd64)
			Expect(names).To(Equal([]string{"linux/amd64"}))
		}
	})

	It("are one where there is no index", func() {
		img := sample{compression: layer.Gzip, target: amd64}.image()
		found, names := platforms(at(location.DockerArchive, uncompressedDocker(img, nil), ""), flatten.Target{})
		Expect(names).To(Equal([]string{"linux/amd64"}))
		Expect(found.Index).To(Equal(v1.Hash{}))
		Expect(found.Images[0].Stored()).To(BeFalse())
	})

	It("are not those of several names", func() {
		dir := layoutOf(map[string]partial.Describable{"a": sample{compression: layer.Gzip, target: amd64}.image(), "b": sample{compression: layer.Gzip, target: arm64}.image()})
		_, err := opener().Platforms(context.Background(), at(location.OCILayout, dir, ""), flatten.Target{})
		Expect(err).To(MatchError(ContainSubstring(`several images (tags "a", "b"); append :TAG`)))
		dir = layoutOf(map[string]partial.Describable{"": sample{compression: layer.Gzip, target: amd64}.image()})
		l := must(layout.FromPath(dir))
		Expect(l.AppendImage(sample{compression: layer.Gzip, target: arm64}.image())).To(Succeed())
		_, err = opener().Platforms(context.Background(), at(location.OCILayout, dir, ""), flatten.Target{})
		Expect(err).To(MatchError(ContainSubstring("several images without a tag, for linux/amd64, linux/arm64; choose one with --target")))
	})
})
