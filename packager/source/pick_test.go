package source_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/location"
)

// attachment is a manifest that belongs to an image and is none.
func attachment(config types.MediaType, layerType types.MediaType, os string) v1.Image {
	img, err := mutate.AppendLayers(sampleBase(), static.NewLayer([]byte("signature"), layerType))
	Expect(err).NotTo(HaveOccurred())
	file := must(img.ConfigFile()).DeepCopy()
	file.OS, file.Architecture = os, os
	img, err = mutate.ConfigFile(img, file)
	Expect(err).NotTo(HaveOccurred())
	return mutate.ConfigMediaType(img, config)
}

// places are a layout and a registry that have the index.
func places(idx v1.ImageIndex) []location.Location {
	ref := serve() + "/acme/root:1"
	push(ref, idx)
	return []location.Location{at(location.OCILayout, layoutOfOne(idx), ""), at(location.Registry, "", ref)}
}

var _ = Describe("an index that names one platform twice", func() {
	gz := func() v1.Image { return sample{compression: layer.Gzip, target: amd64}.image() }
	zst := func() v1.Image { return sample{compression: layer.Zstd, target: amd64}.image() }

	It("returns the first", func() {
		for _, first := range []v1.Image{gz(), zst()} {
			second := gz()
			if must(first.Digest()) == must(second.Digest()) {
				second = zst()
			}
			idx := withImage(withImage(index(arm64), first), second)
			for _, loc := range places(idx) {
				got, err := opener().Image(context.Background(), loc, amd64)
				Expect(err).NotTo(HaveOccurred(), loc.Written)
				Expect(got.Digest()).To(Equal(must(first.Digest())))
			}
		}
	})

	It("returns the first without a target too, where there is no other platform", func() {
		for _, loc := range places(withImage(withImage(index(), zst()), gz())) {
			got, err := opener().Image(context.Background(), loc, flatten.Target{})
			Expect(err).NotTo(HaveOccurred(), loc.Written)
			Expect(got.Digest()).To(Equal(must(zst().Digest())))
		}
	})

	It("is not meant by a layout with two images of several names", func() {
		dir := layoutOf(map[string]partial.Describable{"a": gz(), "b": zst()})
		_, err := openAt(at(location.OCILayout, dir, ""), amd64)
		Expect(err).To(MatchError(ContainSubstring(`several images (tags "a", "b"); append :TAG`)))
	})
})

var _ = DescribeTable("an index with a signature or artifact that names no platform has but one image",
	func(config, layerType types.MediaType, os string) {
		idx := withImage(index(), sample{compression: layer.Gzip, target: flatten.Target{OS: "linux"}}.image())
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: attachment(config, layerType, os)})
		for _, loc := range places(idx) {
			for _, target := range []flatten.Target{{}, amd64} {
				p, err := openAt(loc, target)
				Expect(err).NotTo(HaveOccurred(), loc.Written)
				Expect(p.Target).To(Equal(flatten.Target{OS: "linux"}))
			}
		}
		ref := serve() + "/acme/root:sig"
		push(ref, attachment(config, layerType, os))
		_, err := openAt(at(location.Registry, "", ref), amd64)
		Expect(err).To(MatchError(HavePrefix(ref + ": ")))
	},
	Entry("cosign's signature", types.OCIConfigJSON, types.MediaType("application/vnd.dev.cosign.simplesigning.v1+json"), ""),
	Entry("an artifact of OCI 1.1", types.MediaType("application/vnd.oci.empty.v1+json"), types.MediaType("text/plain"), ""),
	Entry("an artifact whose config has a type of its own", types.MediaType("application/vnd.acme.config.v1+json"), types.OCILayer, ""),
	Entry("BuildKit's attestation", types.OCIConfigJSON, types.OCILayer, "unknown"),
)

var _ = DescribeTable("a manifest is read as what it says it is, whatever Content-Type it comes with",
	func(contentType string) {
		inner := registry.New(registry.Logger(quiet()))
		odd := ""
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if odd != "" && strings.Contains(r.URL.Path, "/manifests/") {
				w = &relabelled{w, odd}
			}
			inner.ServeHTTP(w, r)
		}))
		DeferCleanup(server.Close)
		host := strings.TrimPrefix(server.URL, "http://")
		one := sample{compression: layer.Gzip, target: amd64}.image()
		docker := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.DockerManifestSchema2), types.DockerConfigJSON)
		push(host+"/acme/root:oci", one)
		push(host+"/acme/root:docker", sample{compression: layer.Gzip, target: amd64, base: docker}.image())
		push(host+"/acme/root:index", index(amd64, arm64))
		odd = contentType
		for _, tag := range []string{"oci", "docker", "index"} {
			p, err := openAt(at(location.Registry, "", host+"/acme/root:"+tag), amd64)
			Expect(err).NotTo(HaveOccurred(), tag)
			Expect(p.Modules).To(HaveLen(3))
		}
	},
	Entry("with a charset", "SAME; charset=utf-8"),
	Entry("with a charset, and no space", "SAME;charset=UTF-8"),
	Entry("JSON", "application/json"),
	Entry("text", "text/plain; charset=utf-8"),
	Entry("bytes", "application/octet-stream"),
)

// relabelled answers with another Content-Type, in which SAME is the right one.
type relabelled struct {
	http.ResponseWriter
	contentType string
}

func (r *relabelled) WriteHeader(code int) {
	h := r.Header()
	h.Set("Content-Type", strings.ReplaceAll(r.contentType, "SAME", h.Get("Content-Type")))
	r.ResponseWriter.WriteHeader(code)
}
