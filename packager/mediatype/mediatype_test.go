package mediatype_test

import (
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/mediatype"
)

var _ = Describe("media types", func() {
	DescribeTable("have a name in each family", func(docker, oci types.MediaType) {
		for _, t := range []types.MediaType{docker, oci} {
			Expect(mediatype.Docker.Of(t)).To(Equal(docker))
			Expect(mediatype.OCI.Of(t)).To(Equal(oci))
		}
	},
		Entry("manifest", types.DockerManifestSchema2, types.OCIManifestSchema1),
		Entry("index", types.DockerManifestList, types.OCIImageIndex),
		Entry("config", types.DockerConfigJSON, types.OCIConfigJSON),
		Entry("layer", types.DockerLayer, types.OCILayer),
		Entry("layer without compression", types.DockerUncompressedLayer, types.OCIUncompressedLayer),
		Entry("layer that stays where it is", types.DockerForeignLayer, types.OCIRestrictedLayer),
		Entry("what neither family has", types.MediaType("application/x"), types.MediaType("application/x")),
	)

	DescribeTable("of an image are those that are wanted, or else those that it had", func(wanted, like, want mediatype.Family) {
		Expect(mediatype.For(wanted, like, types.DockerLayer, types.OCILayer)).To(Equal(want))
	},
		Entry(nil, mediatype.Family(""), mediatype.Docker, mediatype.Docker),
		Entry(nil, mediatype.Family(""), mediatype.OCI, mediatype.OCI),
		Entry(nil, mediatype.OCI, mediatype.Docker, mediatype.OCI),
		Entry(nil, mediatype.Docker, mediatype.OCI, mediatype.Docker),
	)

	DescribeTable("are OCI's for zstd, for which Docker has no name", func(zstd types.MediaType) {
		Expect(mediatype.OCI.Of(zstd)).To(Equal(types.OCILayerZStd))
		Expect(mediatype.For("", mediatype.Docker, types.DockerLayer, zstd)).To(Equal(mediatype.OCI))
		Expect(mediatype.For(mediatype.OCI, mediatype.Docker, zstd)).To(Equal(mediatype.OCI))
		_, err := mediatype.For(mediatype.Docker, mediatype.Docker, zstd)
		Expect(err).To(MatchError("unsupported media types docker: layers compressed with zstd have OCI media types only"))
	},
		Entry("by OCI's name", types.OCILayerZStd),
		Entry("by the name that some tools write", types.MediaType("application/vnd.docker.image.rootfs.diff.tar.zstd")),
	)

	It("are named docker or oci", func() {
		for _, f := range []mediatype.Family{mediatype.Docker, mediatype.OCI} {
			Expect(mediatype.Parse(string(f))).To(Equal(f))
			Expect(mediatype.FamilyOf(f.Manifest())).To(Equal(f))
			Expect(mediatype.FamilyOf(f.Index())).To(Equal(f))
			Expect(f.Other().Other()).To(Equal(f))
		}
		_, err := mediatype.Parse("OCI")
		Expect(err).To(MatchError(`invalid media types "OCI"; use docker or oci`))
	})
})
