package source_test

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
	"laminate/packager/source"
)

var _ = Describe("the labels of a repository's images", func() {
	var host string
	var repo *source.Repository

	image := func(is string) v1.Image {
		GinkgoHelper()
		img, err := mutate.Config(empty.Image, v1.Config{Labels: map[string]string{"is": is}})
		Expect(err).NotTo(HaveOccurred())
		return img
	}
	// index has the images of these platforms, each of which is labelled with it.
	index := func(platforms ...string) v1.ImageIndex {
		GinkgoHelper()
		i := v1.ImageIndex(empty.Index)
		for n, s := range platforms {
			p, err := v1.ParsePlatform(s)
			Expect(err).NotTo(HaveOccurred())
			i = mutate.AppendManifests(i, mutate.IndexAddendum{Add: image(fmt.Sprintf("%s %d", s, n)), Descriptor: v1.Descriptor{Platform: p}})
		}
		return i
	}
	at := func(tag string) name.Reference {
		GinkgoHelper()
		ref, err := name.ParseReference(host + "/acme/a:" + tag)
		Expect(err).NotTo(HaveOccurred())
		return ref
	}

	BeforeEach(func() {
		host = fixtures.Registry(GinkgoT())
		var err error
		repo, err = (&source.Opener{}).Repository(context.Background(), host+"/acme/a")
		Expect(err).NotTo(HaveOccurred())
	})

	It("are read by tag and by digest", func() {
		img := image("it")
		Expect(remote.Write(at("1.0.0"), img)).To(Succeed())
		want, err := img.Digest()
		Expect(err).NotTo(HaveOccurred())
		for _, reference := range []string{"1.0.0", want.String()} {
			digest, labels, err := repo.Labels(context.Background(), reference)
			Expect(err).NotTo(HaveOccurred())
			Expect(digest).To(Equal(want.String()))
			Expect(labels).To(Equal(map[string]string{"is": "it"}))
		}
	})

	DescribeTable("are those of one image of an index", func(want string, platforms ...string) {
		i := index(platforms...)
		Expect(remote.WriteIndex(at("1.0.0"), i)).To(Succeed())
		d, err := i.Digest()
		Expect(err).NotTo(HaveOccurred())
		digest, labels, err := repo.Labels(context.Background(), "1.0.0")
		Expect(err).NotTo(HaveOccurred())
		Expect(digest).To(Equal(d.String()))
		Expect(labels["is"]).To(Equal(want))
	},
		Entry("for linux/amd64", "linux/amd64 1", "linux/arm64", "linux/amd64"),
		Entry("the first of several", "linux/amd64 0", "linux/amd64", "linux/amd64", "linux/arm64"),
		Entry("the first", "linux/s390x 0", "linux/s390x", "linux/arm64", "windows/amd64"),
		Entry("no attestation", "linux/arm64 1", "unknown/unknown", "linux/arm64"),
	)

	It("are missing where there is no image", func() {
		Expect(remote.WriteIndex(at("empty"), index("unknown/unknown"))).To(Succeed())
		_, _, err := repo.Labels(context.Background(), "empty")
		Expect(err).To(MatchError(host + "/acme/a:empty: an index without images"))
		_, _, err = repo.Labels(context.Background(), "none")
		Expect(err).To(MatchError(ContainSubstring(host + "/acme/a:none: registry " + host + ": 404 Not Found")))
		Expect(source.IsAbsent(err)).To(BeTrue())
	})
})
