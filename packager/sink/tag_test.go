package sink_test

import (
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
	"laminate/packager/sink"
)

var _ = Describe("Tag", func() {
	var reg *fixtures.Traffic
	BeforeEach(func() { reg = fixtures.CountedRegistry(GinkgoT()) })
	puts := func() (tags []string) {
		for _, r := range reg.Requests(func(r fixtures.Request) bool { return r.Method == http.MethodPut && r.Kind == fixtures.Manifest }) {
			tags = append(tags, r.Digest)
		}
		return tags
	}

	It("points tags to an image or an index by its digest, in their order, and leaves those that do already", func(ctx SpecContext) {
		for _, images := range [][]sink.Image{{imageOf(amd64, layerOf(1, 1000))}, {imageOf(amd64, layerOf(1, 1000)), imageOf(arm64, layerOf(2, 1000))}} {
			digest, err := sink.Digest(images)
			Expect(err).NotTo(HaveOccurred())
			repository := reg.Host + "/" + digest.Hex[:8]
			_, err = sink.Write(ctx, inRegistry(repository+"@"+digest.String()), images, sink.Options{})
			Expect(err).NotTo(HaveOccurred())
			reg.Reset()
			Expect(sink.Tag(ctx, repository, digest, []string{"b", "a"}, false, sink.Options{})).To(Succeed())
			Expect(puts()).To(Equal([]string{"b", "a"}))
			Expect(get(repository + ":a").Digest).To(Equal(digest))
			reg.Reset()
			Expect(sink.Tag(ctx, repository, digest, []string{"a", "c", "b"}, false, sink.Options{})).To(Succeed())
			Expect(puts()).To(Equal([]string{"c"}))
			Expect(reg.Requests(func(r fixtures.Request) bool { return r.Kind == fixtures.Blob || r.Kind == fixtures.Upload })).To(BeEmpty())
		}
	})

	It("moves a tag from another image, unless it must be kept", func(ctx SpecContext) {
		for n := range 2 {
			images := []sink.Image{imageOf(amd64, layerOf(int64(n+1), 1000))}
			digest, err := sink.Digest(images)
			Expect(err).NotTo(HaveOccurred())
			_, err = sink.Write(ctx, inRegistry(reg.Host+"/a@"+digest.String()), images, sink.Options{})
			Expect(err).NotTo(HaveOccurred())
			kept := sink.Tag(ctx, reg.Host+"/a", digest, []string{"latest"}, true, sink.Options{})
			if n == 0 {
				Expect(kept).To(Succeed(), "there is none")
			} else {
				Expect(kept).To(MatchError(MatchRegexp(`^tag \S+/a:latest points to sha256:\S+, not to ` + digest.String() + "$")))
			}
			Expect(sink.Tag(ctx, reg.Host+"/a", digest, []string{"latest"}, false, sink.Options{})).To(Succeed())
			Expect(get(reg.Host + "/a:latest").Digest).To(Equal(digest))
		}
	})

	It("fails for what is not there, and names the tag that was not written", func(ctx SpecContext) {
		images := []sink.Image{imageOf(amd64, layerOf(1, 1000))}
		digest, err := sink.Digest(images)
		Expect(err).NotTo(HaveOccurred())
		Expect(sink.Tag(ctx, reg.Host+"/a", digest, []string{"x"}, false, sink.Options{Pause: 1})).To(MatchError(ContainSubstring(reg.Host + "/a@" + digest.String())))
		_, err = sink.Write(ctx, inRegistry(reg.Host+"/a@"+digest.String()), images, sink.Options{})
		Expect(err).NotTo(HaveOccurred())
		reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
			return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/two") && said(w, http.StatusForbidden)
		})
		reg.Reset()
		Expect(sink.Tag(ctx, reg.Host+"/a", digest, []string{"one", "two", "three"}, false, sink.Options{Pause: 1})).To(MatchError(ContainSubstring(reg.Host + "/a:two")))
		Expect(puts()).To(Equal([]string{"one", "two"}))
	})
})
