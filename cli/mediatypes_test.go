package cli_test

import (
	"net/http"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
)

var _ = Describe("media types in a registry", func() {
	var reg *fixtures.Traffic
	BeforeEach(func() { reg = fixtures.CountedRegistry(GinkgoT()) })

	// at reads what a reference names: the types of the index, if there is one, and of the first image.
	at := func(image string) []types.MediaType {
		GinkgoHelper()
		ref, err := name.ParseReference(image)
		Expect(err).NotTo(HaveOccurred())
		d, err := remote.Get(ref)
		Expect(err).NotTo(HaveOccurred())
		all := []types.MediaType{d.MediaType}
		img, err := d.Image()
		if d.MediaType.IsIndex() {
			index, err := d.ImageIndex()
			Expect(err).NotTo(HaveOccurred())
			m, err := index.IndexManifest()
			Expect(err).NotTo(HaveOccurred())
			all = append(all, m.Manifests[0].MediaType)
			img, err = index.Image(m.Manifests[0].Digest)
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(err).NotTo(HaveOccurred())
		m, err := img.Manifest()
		Expect(err).NotTo(HaveOccurred())
		all = append(all, m.Config.MediaType)
		for _, l := range m.Layers {
			all = append(all, l.MediaType)
		}
		return all
	}
	oci := []types.MediaType{types.OCIManifestSchema1, types.OCIConfigJSON, types.OCILayer}
	docker := []types.MediaType{types.DockerManifestSchema2, types.DockerConfigJSON, types.DockerLayer}
	moon := "../../buildpacks/hello-moon"

	DescribeTable("of a package are OCI's, but for those who ask for Docker's", func(want []types.MediaType, args ...string) {
		enterPackages("offline")
		r := laminate(append([]string{"package", "--publish", reg.Host + "/moon", "-p", moon}, args...)...)
		Expect(r.code).To(BeZero(), r.stderr)
		Expect(at(reg.Host + "/moon")).To(Equal(want))
	},
		Entry("one target", oci),
		Entry("one target, Docker's", docker, "--media-types", "docker"),
		Entry("several", append([]types.MediaType{types.OCIImageIndex}, oci...), "-t", "linux/amd64,linux/arm64"),
		Entry("several, Docker's", append([]types.MediaType{types.DockerManifestList}, docker...), "-t", "linux/amd64,linux/arm64", "--media-types", "docker"),
	)

	It("of a builder are those of the build image, but for those who ask", func() {
		enterBuilder()
		for _, ask := range [][]string{nil, {"--media-types", "docker"}, {"--media-types", "oci"}} {
			r := create(append([]string{reg.Host + "/b", "--publish"}, ask...)...)
			Expect(r.code).To(BeZero(), r.stderr)
			want := oci // fixtures.BaseImage has OCI media types
			if len(ask) > 0 && ask[1] == "docker" {
				want = docker
			}
			Expect(at(reg.Host + "/b")).To(HaveExactElements(append(want, eachOf(want[2], len(at(reg.Host+"/b"))-3)...)))
		}
	})

	It("change no blob: none is sent again, and of an unchanged image nothing is", func() {
		enterPackages("offline")
		publish := func(args ...string) {
			GinkgoHelper()
			r := laminate(append([]string{"package", "--publish", reg.Host + "/p:1", "-c", "package.toml", "--flatten-layers"}, args...)...)
			Expect(r.code).To(BeZero(), r.stderr)
		}
		sent := func() (blobs, manifests int) {
			defer reg.Reset()
			_, up := reg.Layers()
			return int(up), reg.Count(http.MethodPut, fixtures.Manifest)
		}
		publish("--media-types", "docker")
		reg.Reset()
		for _, args := range [][]string{nil, {"--media-types", "docker"}, {"--media-types", "oci"}} {
			publish(args...)
			blobs, manifests := sent()
			Expect(blobs).To(BeZero(), "%v", args)
			Expect(manifests).NotTo(BeZero(), "%v", args)
			publish(args...)
			blobs, manifests = sent()
			Expect(blobs+manifests).To(BeZero(), "%v", args)
		}
	})

	DescribeTable("that the registry refuses are an error that names the flag", func(refused string, status int, code string, args ...string) {
		reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPut || r.Header.Get("Content-Type") != refused {
				return false
			}
			w.WriteHeader(status)
			_, err := w.Write([]byte(`{"errors":[{"code":"` + code + `","message":"no"}]}`))
			Expect(err).NotTo(HaveOccurred())
			return true
		})
		enterPackages("offline")
		publish := func(args ...string) result {
			return laminate(append([]string{"package", "--publish", reg.Host + "/p:1", "-p", moon}, args...)...)
		}
		r := publish(args...)
		Expect(r.code).To(Equal(1))
		other := map[bool]string{true: "docker", false: "oci"}[refused == string(types.OCIManifestSchema1)]
		Expect(r.stderr).To(HaveSuffix("ones only, use --media-types " + other + "\n"))
		Expect(publish("--media-types", other).code).To(BeZero())
	},
		Entry("Docker's, by 415", string(types.DockerManifestSchema2), http.StatusUnsupportedMediaType, "MANIFEST_INVALID", "--media-types", "docker"),
		Entry("Docker's, by 400", string(types.DockerManifestSchema2), http.StatusBadRequest, "MANIFEST_INVALID", "--media-types", "docker"),
		Entry("OCI's, by 415", string(types.OCIManifestSchema1), http.StatusUnsupportedMediaType, "UNSUPPORTED"),
		Entry("OCI's, by 400", string(types.OCIManifestSchema1), http.StatusBadRequest, "MANIFEST_INVALID"),
	)

	It("are not to blame for a manifest that is refused for another reason", func() {
		enterPackages("offline")
		reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut && r.Header.Get("Content-Type") == string(types.OCIManifestSchema1) {
				w.WriteHeader(http.StatusBadRequest)
				_, err := w.Write([]byte(`{"errors":[{"code":"TAG_INVALID","message":"no"}]}`))
				Expect(err).NotTo(HaveOccurred())
				return true
			}
			return false
		})
		r := laminate("package", "--publish", reg.Host+"/p:1", "-p", moon)
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(ContainSubstring("TAG_INVALID"))
		Expect(r.stderr).NotTo(ContainSubstring("media-types"))
	})
})

func eachOf(t types.MediaType, n int) []types.MediaType {
	all := make([]types.MediaType, n)
	for i := range all {
		all[i] = t
	}
	return all
}
