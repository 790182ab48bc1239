package sink_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager/progress"
	"laminate/packager/sink"
)

var _ = Describe("tags of the images of an index", func() {
	var reg *watchedRegistry
	BeforeEach(func() { reg = newRegistry() })
	write := func(ctx SpecContext, log progress.Log, ref string, targets []flatten.Target, tags ...string) ([]sink.Written, error) {
		var images []sink.Image
		for i, t := range targets {
			images = append(images, imageOf(t, layerOf(int64(i), 1000)))
		}
		for i, t := range tags {
			tags[i] = reg.host + t
		}
		return sink.Write(ctx, inRegistry(reg.host+ref), images, sink.Options{Suffix: true, Tags: tags, Log: log, Pause: time.Millisecond})
	}

	DescribeTable("are refused before anything is sent", func(ctx SpecContext, ref string, tags []string, targets []flatten.Target, want string) {
		_, err := write(ctx, nil, ref, targets, tags...)
		Expect(err).To(MatchError(And(HavePrefix("output: "), ContainSubstring(strings.ReplaceAll(want, "HOST", reg.host)))))
		Expect(reg.changes).To(BeEmpty())
	},
		Entry("where a tag is asked for as well", "/a:1", []string{"/a:1-linux-amd64"}, []flatten.Target{amd64, arm64},
			"duplicate tag HOST/a:1-linux-amd64: also used for the image for linux/amd64; choose another tag, or omit --append-image-name-suffix"),
		Entry("where the destination is one", "/a:linux-amd64", []string{"/a:linux-amd64-linux-arm64"}, []flatten.Target{amd64, arm64},
			"duplicate tag HOST/a:linux-amd64-linux-arm64: "),
		Entry("where they are too long", "/a:"+strings.Repeat("x", 120), nil, []flatten.Target{amd64, arm64}, "tag for linux/amd64: "),
		Entry("where a target has characters that no tag has", "/a:1", nil, []flatten.Target{amd64, {OS: "linux", Arch: "amd64", Variant: "v 2"}}, "tag for linux/amd64/v 2: "),
	)

	It("are read back", func(ctx SpecContext) {
		reg.breaks(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut || !strings.HasSuffix(r.URL.Path, "/manifests/1-linux-arm64") {
				return false
			}
			w.WriteHeader(http.StatusNotFound)
			return true
		})
		log := &recorded{}
		_, err := write(ctx, log, "/a:1", []flatten.Target{amd64, arm64})
		Expect(err).NotTo(HaveOccurred())
		Expect(log.lines).To(ContainElement(HavePrefix("warning " + reg.host + "/a:1-linux-arm64: the registry accepted sha256:")))
	})

	It("are left where they name the image already, and moved before the index's", func(ctx SpecContext) {
		targets := []flatten.Target{amd64, arm64}
		written, err := write(ctx, nil, "/a:1", targets)
		Expect(err).NotTo(HaveOccurred())
		Expect(written).To(HaveLen(3))
		puts := reg.manifests()
		Expect(puts[len(puts)-3:]).To(Equal([]string{"a 1-linux-amd64", "a 1-linux-arm64", "a 1"}))
		for i, tag := range []string{"1", "1-linux-amd64", "1-linux-arm64"} {
			Expect(written[i].Destination).To(Equal("docker://" + reg.host + "/a:" + tag))
			Expect(get(reg.host + "/a:" + tag).Digest).To(Equal(written[i].Digest))
		}
		var more atomic.Int32
		reg.breaks(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut {
				more.Add(1)
			}
			return false
		})
		again, err := write(ctx, nil, "/a:1", targets)
		Expect(err).NotTo(HaveOccurred())
		Expect(again).To(Equal(written))
		Expect(more.Load()).To(BeZero())
	})
})
