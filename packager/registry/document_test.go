package registry_test

import (
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/registry"
)

var _ = DescribeTable("MediaType prefers the document to the Content-Type",
	func(document, answered, want string) {
		got, err := registry.MediaType([]byte(document), types.MediaType(answered))
		if err != nil {
			Expect(err.Error()).To(ContainSubstring(want))
			return
		}
		Expect(string(got)).To(Equal(want))
	},
	Entry("its own type", `{"mediaType":"`+string(types.DockerManifestSchema2)+`","config":{},"layers":[]}`, string(types.DockerManifestSchema2), string(types.DockerManifestSchema2)),
	Entry("its own type with a charset", `{"mediaType":"`+string(types.DockerManifestSchema2)+`","config":{}}`, string(types.DockerManifestSchema2)+";charset=UTF-8", string(types.DockerManifestSchema2)),
	Entry("JSON", `{"mediaType":"`+string(types.DockerManifestList)+`","manifests":[]}`, "application/json; charset=utf-8", string(types.DockerManifestList)),
	Entry("text", `{"mediaType":"`+string(types.OCIImageIndex)+`","manifests":[]}`, "text/plain", string(types.OCIImageIndex)),
	Entry("another type", `{"mediaType":"`+string(types.OCIImageIndex)+`","manifests":[]}`, string(types.OCIManifestSchema1), string(types.OCIImageIndex)),
	Entry("nothing", `{"mediaType":"`+string(types.OCIImageIndex)+`","manifests":[]}`, "", string(types.OCIImageIndex)),
	Entry("an image without a type", `{"config":{},"layers":[]}`, "text/plain", string(types.OCIManifestSchema1)),
	Entry("an image without a type, as Docker's", `{"config":{},"layers":[]}`, string(types.DockerManifestSchema2)+"; charset=utf-8", string(types.DockerManifestSchema2)),
	Entry("an index without a type", `{"manifests":[]}`, "application/json", string(types.OCIImageIndex)),
	Entry("an index without a type, as Docker's", `{"manifests":[]}`, string(types.DockerManifestList), string(types.DockerManifestList)),
	Entry("an index without a type, as an image", `{"manifests":[]}`, string(types.OCIManifestSchema1), string(types.OCIImageIndex)),
	Entry("both", `{"config":{},"manifests":[]}`, string(types.OCIImageIndex), "ambiguous manifest"),
	Entry("a type that the fields contradict", `{"mediaType":"`+string(types.OCIImageIndex)+`","layers":[]}`, "", "contradict"),
	Entry("schema version 1", `{"schemaVersion":1,"fsLayers":[]}`, "application/json", "schema version 1"),
	Entry("something else", `{"hello":1}`, "application/json", "application/json"),
	Entry("no JSON", `<html>`, string(types.OCIManifestSchema1), "invalid manifest"),
	Entry("neither JSON nor of an image's Content-Type", `<html>`, "text/html; charset=utf-8", "text/html"),
)
