package source_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/source"
)

// attachedWith lists and reads the one attachment of an image, in a registry that answers so with its
// manifest and the blob of its document.
func attachedWith(ctx context.Context, image v1.Hash, manifest, blob string) (*source.Attached, error) {
	GinkgoHelper()
	digest, size, err := v1.SHA256(strings.NewReader(manifest))
	Expect(err).NotTo(HaveOccurred())
	host := registryThat(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		switch {
		case strings.Contains(r.URL.Path, "/referrers/"):
			w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			fmt.Fprintf(w, `{"schemaVersion":2,"manifests":[
				{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"%s","size":%d,"artifactType":"a/listed","annotations":{"a":"b"}},
				{"mediaType":"application/vnd.oci.artifact.manifest.v1+json","digest":"%s","size":1}]}`, digest, size, digest)
		case strings.HasSuffix(r.URL.Path, "/manifests/"+digest.String()):
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			fmt.Fprint(w, manifest)
		case strings.Contains(r.URL.Path, "/blobs/"):
			fmt.Fprint(w, blob)
		default:
			next.ServeHTTP(w, r)
		}
	})
	repository, err := (&source.Opener{}).Repository(ctx, host+"/acme/root")
	Expect(err).NotTo(HaveOccurred())
	list, err := repository.Attachments(ctx, image)
	Expect(err).NotTo(HaveOccurred())
	Expect(list).To(Equal([]source.Attachment{{Type: "a/listed", Digest: digest, Annotations: map[string]string{"a": "b"}}}))
	one, err := repository.Attached(ctx, image, list[0])
	if err != nil {
		Expect(err.Error()).To(HavePrefix(host + "/acme/root@" + image.String() + ": "))
	}
	return one, err
}

var _ = Describe("attachments", func() {
	image := v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("a", 64)}
	layer := func(content string) string {
		digest, size, err := v1.SHA256(bytes.NewReader([]byte(content)))
		Expect(err).NotTo(HaveOccurred())
		return fmt.Sprintf(`{"mediaType":"a/document","size":%d,"digest":"%s"}`, size, digest)
	}
	manifest := func(subject, artifactType, layers string) string {
		return `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",` + artifactType + subject +
			`"config":{"mediaType":"a/config","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"layers":[` + layers + `]}`
	}
	of := func(digest v1.Hash) string {
		return `"subject":{"mediaType":"a/b","size":1,"digest":"` + digest.String() + `"},`
	}
	is := `"artifactType":"a/type",`

	It("are read with the type that the manifest has", func(ctx SpecContext) {
		one, err := attachedWith(ctx, image, manifest(of(image), is, layer("hello")), "hello")
		Expect(err).NotTo(HaveOccurred())
		Expect(one).To(Equal(&source.Attached{Type: "a/type", MediaType: "a/document", Content: []byte("hello")}))
		one, err = attachedWith(ctx, image, manifest(of(image), "", layer("hello")), "hello")
		Expect(err).NotTo(HaveOccurred())
		Expect(one.Type).To(Equal("a/config"))
	})

	other := v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("b", 64)}
	DescribeTable("are not believed", func(ctx SpecContext, make func() (manifest, blob string), want string) {
		m, blob := make()
		_, err := attachedWith(ctx, image, m, blob)
		Expect(err).To(MatchError(ContainSubstring(want)))
	},
		Entry("with another subject", func() (string, string) { return manifest(of(other), is, layer("hello")), "hello" }, "its subject is another image"),
		Entry("without a subject", func() (string, string) { return manifest("", is, layer("hello")), "hello" }, "its subject is another image"),
		Entry("with two documents", func() (string, string) {
			return manifest(of(image), is, layer("hello")+","+layer("moon")), "hello"
		}, "2 layers, expected 1"),
		Entry("without a document", func() (string, string) { return manifest(of(image), is, ""), "" }, "0 layers, expected 1"),
		Entry("with another document", func() (string, string) { return manifest(of(image), is, layer("hello")), "hollo" }, "error verifying sha256"),
		Entry("with a longer document", func() (string, string) { return manifest(of(image), is, layer("hello")), "hello, moon" }, "size is not 5"),
		Entry("with a shorter document", func() (string, string) { return manifest(of(image), is, layer("hello")), "hell" }, "error verifying sha256"),
		Entry("with a document that is too large", func() (string, string) {
			return manifest(of(image), is, fmt.Sprintf(`{"mediaType":"a/b","size":%d,"digest":"%s"}`, 16<<20+1, image)), ""
		}, "document has 16777217 bytes, the limit is 16777216"),
		Entry("with a document of no size", func() (string, string) {
			return manifest(of(image), is, fmt.Sprintf(`{"mediaType":"a/b","size":-1,"digest":"%s"}`, image)), ""
		}, "document has -1 bytes"),
	)
})
