package source_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/signing"
	"laminate/packager/source"
)

// signaturesWith reads the signatures of an image, in a registry that answers so with the manifest
// under their tag, and with every blob. It counts the blobs.
func signaturesWith(ctx context.Context, image v1.Hash, status int, manifest, blob string) (all []signing.Signature, blobs int, err error) {
	GinkgoHelper()
	host := registryThat(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/manifests/sha256-"+image.Hex+".sig"):
			w.WriteHeader(status)
			fmt.Fprint(w, manifest)
		case strings.Contains(r.URL.Path, "/blobs/"):
			blobs++
			fmt.Fprint(w, blob)
		default:
			next.ServeHTTP(w, r)
		}
	})
	repository, err := (&source.Opener{}).Repository(ctx, host+"/acme/root")
	Expect(err).NotTo(HaveOccurred())
	all, err = repository.Signatures(ctx, image)
	if err != nil {
		Expect(err.Error()).To(HavePrefix(host + "/acme/root@" + image.String() + ": "))
	}
	return all, blobs, err
}

var _ = Describe("signatures", func() {
	image := v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("a", 64)}
	layer := func(mediaType, content, signature string) string {
		digest, size, err := v1.SHA256(strings.NewReader(content))
		Expect(err).NotTo(HaveOccurred())
		return fmt.Sprintf(`{"mediaType":"%s","size":%d,"digest":"%s","annotations":{"dev.cosignproject.cosign/signature":"%s"}}`, mediaType, size, digest, signature)
	}
	manifest := func(layers ...string) string {
		return `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"a/b","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"layers":[` + strings.Join(layers, ",") + `]}`
	}
	many := func(n int) (layers []string) {
		for i := range n {
			layers = append(layers, layer(signing.MediaType, "p", fmt.Sprint("s", i)))
		}
		return layers
	}

	It("are read, each payload once, and what is none is left out", func(ctx SpecContext) {
		all, blobs, err := signaturesWith(ctx, image, 200, manifest(layer(signing.MediaType, "p", "s"), layer("a/b", "x", "t"), layer(signing.MediaType, "p", "u"), layer(signing.MediaType, "p", "")), "p")
		Expect(err).NotTo(HaveOccurred())
		Expect(all).To(Equal([]signing.Signature{{Payload: []byte("p"), Signature: "s"}, {Payload: []byte("p"), Signature: "u"}}))
		Expect(blobs).To(Equal(1))
		all, _, err = signaturesWith(ctx, image, 200, manifest(many(100)...), "p")
		Expect(err).NotTo(HaveOccurred())
		Expect(all).To(HaveLen(100))
		all, _, err = signaturesWith(ctx, image, 404, "", "")
		Expect(err).NotTo(HaveOccurred())
		Expect(all).To(BeEmpty())
	})

	DescribeTable("are an error", func(ctx SpecContext, make func() (int, string, string), want string) {
		status, m, blob := make()
		_, _, err := signaturesWith(ctx, image, status, m, blob)
		Expect(err).To(MatchError(ContainSubstring(want)))
	},
		Entry("that cannot be read", func() (int, string, string) { return 403, "", "" }, "403 Forbidden"),
		Entry("in an index", func() (int, string, string) { return 200, `{"schemaVersion":2,"manifests":[]}`, "" }, "is not an image of signatures: its media type is"),
		Entry("with another payload", func() (int, string, string) {
			return 200, manifest(layer(signing.MediaType, "p", "s")), "q"
		}, "error verifying sha256"),
		Entry("of which there are too many", func() (int, string, string) { return 200, manifest(many(101)...), "p" }, "too many signatures; the limit is 100"),
		Entry("with a payload that is too large", func() (int, string, string) {
			return 200, manifest(layer(signing.MediaType, strings.Repeat("p", 64<<10+1), "s")), strings.Repeat("p", 64<<10+1)
		}, "a payload has 65537 bytes, the limit is 65536"),
		Entry("in too many layers", func() (int, string, string) {
			return 200, `{"schemaVersion":2,"config":{},"layers":[{}` + strings.Repeat(",{}", 2000) + `]}`, ""
		}, "too many layers"),
	)
})
