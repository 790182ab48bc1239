package attest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures/workbench"
	"laminate/flatten"
	"laminate/packager/attest"
	"laminate/packager/image"
)

// builderLabels are those of a builder with a composite, two components in one layer, and an
// extension.
func builderLabels() map[string]string {
	return map[string]string{
		"io.buildpacks.stack.id":             "acme.stack",
		"io.buildpacks.base.distro.name":     "ubuntu",
		"io.buildpacks.base.distro.version":  "24.04",
		"io.buildpacks.buildpack.order":      `[{"group":[{"id":"acme/all","version":"1"}]}]`,
		"io.buildpacks.builder.metadata":     `{"description":"a builder","lifecycle":{"version":"0.21.0"},"createdBy":{"name":"pack","version":"9"},"buildpacks":[{"id":"acme/all","version":"1","description":"everything","licenses":[{"Type":"MIT","URI":"https://acme.example/license"},{"Type":"Acme-1"}],"homepage":"https://acme.example/other"},{"id":"acme/a","version":"2"},{"id":"acme/none","version":"2"}],"extensions":[{"id":"acme/ext","version":"5","description":"extends"}]}`,
		"io.buildpacks.buildpack.layers":     `{"acme/all":{"1":{"api":"0.10","layerDiffID":"LAYER3","homepage":"https://acme.example","order":[{"group":[{"id":"acme/b","version":"3"},{"id":"acme/a","version":"2"}]},{"group":[{"id":"acme/a","version":"2"},{"id":"acme/elsewhere","version":"2"}]}]}},"acme/a":{"2":{"api":"0.10","layerDiffID":"LAYER2","name":"The A"}},"acme/b":{"3":{"api":"0.9","layerDiffID":"LAYER2","homepage":"no address"}}}`,
		"io.buildpacks.extension.layers":     `{"acme/ext":{"5":{"api":"0.10","layerDiffID":"LAYER4"}}}`,
		"org.opencontainers.image.something": "else",
	}
}

func sbomOf(img *image.Image, o attest.SBOMOptions) ([]byte, *cyclonedx.BOM) {
	GinkgoHelper()
	raw, err := attest.SBOM(img, o)
	Expect(err).NotTo(HaveOccurred())
	Expect(workbench.Valid(cyclonedxSchema(), raw)).To(Succeed(), "%s", raw)
	bom := &cyclonedx.BOM{}
	Expect(cyclonedx.NewBOMDecoder(bytes.NewReader(raw), cyclonedx.BOMFileFormatJSON).Decode(bom)).To(Succeed())
	digest, err := img.Digest()
	Expect(err).NotTo(HaveOccurred())
	Expect(attest.Subjects(attest.CycloneDX, raw)).To(Equal([]v1.Hash{digest}))
	Expect(bom.SerialNumber).To(MatchRegexp("^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"), "a UUID of version 5")
	return raw, bom
}

var _ = Describe("an SBOM", func() {
	It("describes a builder", func() {
		img := imageOf(5, builderLabels())
		raw, bom := sbomOf(img, attest.SBOMOptions{})
		digest, err := img.Digest()
		Expect(err).NotTo(HaveOccurred())
		var layer, diff []string
		for _, l := range img.Contents() {
			d, err := l.Digest()
			Expect(err).NotTo(HaveOccurred())
			layer, diff = append(layer, d.String()), append(diff, l.Diff.String())
		}
		hex := func(h string) string { return strings.TrimPrefix(h, "sha256:") }
		Expect(raw).To(MatchJSON(fmt.Sprintf(`{
			"$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "serialNumber": %q,
			"metadata": {
				"tools": {"components": [{"type": "application", "name": "laminate"}]},
				"component": {"bom-ref": %q, "type": "container", "name": "builder", "description": "a builder", "hashes": [{"alg": "SHA-256", "content": %q}], "properties": [
					{"name": "laminate:layer", "value": %q}, {"name": "laminate:layer", "value": %q}, {"name": "laminate:layer", "value": %q}, {"name": "laminate:layer", "value": %q}, {"name": "laminate:layer", "value": %q}]}
			},
			"components": [
				{"bom-ref": "base image", "type": "operating-system", "name": "ubuntu", "version": "24.04", "properties": [{"name": "laminate:stack", "value": "acme.stack"}]},
				{"bom-ref": "lifecycle", "type": "application", "group": "buildpacks", "name": "lifecycle", "version": "0.21.0"},
				{"bom-ref": "buildpack acme/a@2", "type": "application", "name": "acme/a", "version": "2", "description": "The A",
					"properties": [{"name": "laminate:kind", "value": "buildpack"}, {"name": "laminate:api", "value": "0.10"}, {"name": "laminate:diffID", "value": %q}, {"name": "laminate:layer", "value": %q}]},
				{"bom-ref": "buildpack acme/all@1", "type": "application", "name": "acme/all", "version": "1", "description": "everything",
					"licenses": [{"license": {"id": "MIT", "url": "https://acme.example/license"}}, {"license": {"name": "Acme-1"}}],
					"externalReferences": [{"type": "website", "url": "https://acme.example"}], "hashes": [{"alg": "SHA-256", "content": %q}],
					"properties": [{"name": "laminate:kind", "value": "buildpack"}, {"name": "laminate:api", "value": "0.10"}, {"name": "laminate:diffID", "value": %q}, {"name": "laminate:layer", "value": %q}]},
				{"bom-ref": "buildpack acme/b@3", "type": "application", "name": "acme/b", "version": "3",
					"properties": [{"name": "laminate:kind", "value": "buildpack"}, {"name": "laminate:api", "value": "0.9"}, {"name": "laminate:diffID", "value": %q}, {"name": "laminate:layer", "value": %q}]},
				{"bom-ref": "extension acme/ext@5", "type": "application", "name": "acme/ext", "version": "5", "description": "extends", "hashes": [{"alg": "SHA-256", "content": %q}],
					"properties": [{"name": "laminate:kind", "value": "extension"}, {"name": "laminate:api", "value": "0.10"}, {"name": "laminate:diffID", "value": %q}, {"name": "laminate:layer", "value": %q}]}
			],
			"dependencies": [
				{"ref": %q, "dependsOn": ["base image", "lifecycle", "buildpack acme/a@2", "buildpack acme/all@1", "buildpack acme/b@3", "extension acme/ext@5"]},
				{"ref": "buildpack acme/all@1", "dependsOn": ["buildpack acme/a@2", "buildpack acme/b@3"]}
			]}`,
			bom.SerialNumber, digest, digest.Hex, layer[0], layer[1], layer[2], layer[3], layer[4],
			diff[1], layer[1], hex(diff[2]), diff[2], layer[2], diff[1], layer[1], hex(diff[3]), diff[3], layer[3], digest)))
	})

	It("names what the caller knows", func() {
		base := v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("b", 64)}
		_, bom := sbomOf(imageOf(5, builderLabels()), attest.SBOMOptions{Name: "builder-noble", Version: "1.2.3", BaseName: "acme/build:noble", BaseDigest: base})
		Expect(bom.Metadata.Component.Name).To(Equal("builder-noble"))
		Expect(bom.Metadata.Component.Version).To(Equal("1.2.3"))
		first := (*bom.Components)[0]
		Expect(first.Type).To(Equal(cyclonedx.ComponentTypeContainer))
		Expect(first.Name).To(Equal("acme/build:noble"))
		Expect(first.Version).To(BeEmpty())
		Expect(*first.Hashes).To(Equal([]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: base.Hex}}))
	})

	It("is the same for the same image, and another for another", func() {
		seen := map[string]string{}
		for range 20 {
			raw, bom := sbomOf(imageOf(5, builderLabels()), attest.SBOMOptions{})
			seen[bom.SerialNumber] = string(raw)
			for serial, other := range seen {
				Expect(serial).To(Equal(bom.SerialNumber))
				Expect(other).To(Equal(string(raw)))
			}
		}
		other := builderLabels()
		other["org.opencontainers.image.something"] = "other"
		_, bom := sbomOf(imageOf(5, other), attest.SBOMOptions{})
		Expect(seen).NotTo(HaveKey(bom.SerialNumber))
		_, bom = sbomOf(imageOf(5, builderLabels()), attest.SBOMOptions{Version: "1"})
		Expect(seen).NotTo(HaveKey(bom.SerialNumber))
	})

	It("knows content identities from laminate's label", func() {
		labels := builderLabels()
		at := imageOf(5, labels).Contents()[1].Diff
		a, b := v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("a", 64)}, v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("b", 64)}
		label, err := json.Marshal(flatten.RecipesLabel{at: {
			{Ref: flatten.Ref{ID: "acme/b", Version: "3"}, ContentID: b, Length: 512}, {Ref: flatten.Ref{ID: "acme/a", Version: "2"}, ContentID: a, Length: 512},
		}})
		Expect(err).NotTo(HaveOccurred())
		labels["laminate.layers"] = string(label)
		_, bom := sbomOf(imageOf(5, labels), attest.SBOMOptions{})
		for i, want := range map[int]v1.Hash{2: a, 4: b} {
			Expect(*(*bom.Components)[i].Hashes).To(Equal([]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: want.Hex}}))
		}
	})

	It("describes a buildpackage, and an extension package", func() {
		img := imageOf(2, map[string]string{
			"io.buildpacks.buildpackage.metadata": `{"id":"acme/root","version":"1","description":"root","licenses":[{"URI":"https://acme.example"},{}],"stacks":null}`,
			"io.buildpacks.buildpack.layers":      `{"acme/root":{"1":{"api":"0.10","layerDiffID":"LAYER2"}}}`,
		})
		_, bom := sbomOf(img, attest.SBOMOptions{})
		Expect(bom.Metadata.Component.Name).To(Equal("acme/root"))
		Expect(bom.Metadata.Component.Description).To(Equal("root"))
		Expect(*bom.Components).To(HaveLen(1))
		Expect(*(*bom.Components)[0].Licenses).To(Equal(cyclonedx.Licenses{{License: &cyclonedx.License{Name: "https://acme.example", URL: "https://acme.example"}}}))
		img = imageOf(2, map[string]string{
			"io.buildpacks.buildpackage.metadata": `{"id":"acme/ext","version":"1","description":"it"}`,
			"io.buildpacks.extension.layers":      `{"acme/ext":{"1":{"api":"0.10","layerDiffID":"LAYER1"}}}`,
		})
		_, bom = sbomOf(img, attest.SBOMOptions{})
		Expect((*bom.Components)[0].BOMRef).To(Equal("extension acme/ext@1"))
		Expect((*bom.Components)[0].Description).To(Equal("it"))
	})

	It("is valid whatever labels say", func() {
		labels := builderLabels()
		labels["io.buildpacks.builder.metadata"] = `{"description":"\u0000\"<&>\ud800","lifecycle":{"version":"x y"},"buildpacks":[{"id":"acme/a","version":"2","licenses":[{"Type":"Apache 2","URI":"http://[::1"},{"Type":"MIT","URI":"javascript:x"},{"Type":"MIT","URI":"https:x"},{"Type":"GPL","URI":"https://a.example/ b|c"}]}]}`
		labels["io.buildpacks.buildpack.layers"] = `{"acme/a":{"2":{"api":"","layerDiffID":"LAYER2","name":"","homepage":"https://a b/%zz"}}}`
		_, bom := sbomOf(imageOf(5, labels), attest.SBOMOptions{})
		Expect((*bom.Components)[2].ExternalReferences).To(BeNil())
		for _, l := range *(*bom.Components)[2].Licenses {
			Expect(l.License.URL).To(BeEmpty())
		}
	})

	DescribeTable("is refused", func(make func() *image.Image, want string) {
		_, err := attest.SBOM(make(), attest.SBOMOptions{})
		Expect(err).To(MatchError("it: SBOM: " + want))
	},
		Entry("of other images", func() *image.Image { return imageOf(1, nil) }, "it is an image, neither a builder nor a buildpackage"),
		Entry("of an image without a digest", func() *image.Image { return viewOf(imageOf(5, builderLabels()).Image, false) }, "the image has no digest; write it to a registry or an OCI layout first"),
		Entry("with an invalid label", func() *image.Image {
			labels := builderLabels()
			labels["io.buildpacks.builder.metadata"] = "x"
			return imageOf(5, labels)
		}, "it: label io.buildpacks.builder.metadata: invalid character 'x' looking for beginning of value"),
	)
})
