package sink_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
	"laminate/packager/sink"
)

var _ = Describe("transfers to a registry", func() {
	var reg *fixtures.Traffic
	var layers []v1.Layer
	BeforeEach(func() {
		reg = fixtures.CountedRegistry(GinkgoT())
		layers = []v1.Layer{layerOf(1, 100_000), layerOf(2, 50_000)}
	})
	write := func(ctx context.Context, ref string, img sink.Image, tags ...string) error {
		_, err := sink.Write(ctx, inRegistry(reg.Host+"/"+ref), []sink.Image{img}, sink.Options{Tags: tags, Pause: time.Millisecond})
		return err
	}
	pushed := func(ctx context.Context, ref string, img sink.Image) {
		GinkgoHelper()
		Expect(write(ctx, ref, img)).To(Succeed())
		reg.Reset()
	}
	// methods counts the requests by method and kind, pings aside.
	methods := func() map[string]int {
		counts := map[string]int{}
		for _, r := range reg.Requests(func(r fixtures.Request) bool { return r.Kind != fixtures.Ping }) {
			counts[r.Method+" "+string(r.Kind)]++
		}
		return counts
	}
	sizeOf := func(l v1.Layer) int64 { GinkgoHelper(); return must(l.Size()) }

	Describe("ask no more than is needed", func() {
		It("for a first write: a HEAD for each layer, none for the config", func(ctx SpecContext) {
			Expect(write(ctx, "a:1", imageOf(amd64, layers...))).To(Succeed())
			Expect(methods()).To(Equal(map[string]int{
				"GET manifest": 1, "HEAD manifest": 2, "PUT manifest": 2, // before, by tag and digest, and at the end
				"HEAD blob": 2, "POST upload": 3, "PATCH upload": 2, "PUT upload": 3, // the config is in its PUT
			}))
			Expect(reg.MostHeads()).To(Equal(1))
			down, up := reg.Layers()
			Expect(down).To(BeZero())
			Expect(up).To(Equal(sizeOf(layers[0]) + sizeOf(layers[1])))
		})

		It("for an image that the tag names already: a GET", func(ctx SpecContext) {
			pushed(ctx, "a:1", imageOf(amd64, layers...))
			log := &recorded{}
			_, err := sink.Write(ctx, inRegistry(reg.Host+"/a:1"), []sink.Image{imageOf(amd64, layers...)}, sink.Options{Log: log})
			Expect(err).NotTo(HaveOccurred())
			Expect(methods()).To(Equal(map[string]int{"GET manifest": 1}))
			Expect(log.lines).To(ConsistOf(HavePrefix("reused layer"), HavePrefix("reused layer")))
		})

		It("for an image that the repository has: no blob", func(ctx SpecContext) {
			pushed(ctx, "a:1", imageOf(amd64, layers...))
			Expect(write(ctx, "a:2", imageOf(amd64, layers...))).To(Succeed())
			Expect(methods()).To(Equal(map[string]int{"GET manifest": 1, "HEAD manifest": 2, "PUT manifest": 1}))
			Expect(write(ctx, "a:1", imageOf(amd64, layers...), reg.Host+"/a:3")).To(Succeed())
			Expect(get(reg.Host + "/a:3").Digest).To(Equal(digestOf(imageOf(amd64, layers...))))
		})

		It("for an index of which it has an image: only the other's blobs", func(ctx SpecContext) {
			pushed(ctx, "a:1", imageOf(amd64, layers[0]))
			_, err := sink.Write(ctx, inRegistry(reg.Host+"/a:both"), []sink.Image{imageOf(amd64, layers[0]), imageOf(arm64, layers[1])}, sink.Options{})
			Expect(err).NotTo(HaveOccurred())
			Expect(methods()).To(Equal(map[string]int{
				"GET manifest": 1, "HEAD manifest": 4, "PUT manifest": 3,
				"HEAD blob": 1, "POST upload": 2, "PATCH upload": 1, "PUT upload": 2,
			}))
		})

		It("for what the tag's image has: nothing, and what is new goes up", func(ctx SpecContext) {
			pushed(ctx, "a:1", imageOf(amd64, layers...))
			fresh := layerOf(3, 10_000)
			Expect(write(ctx, "a:1", imageOf(amd64, layers[0], fresh))).To(Succeed())
			Expect(reg.Count(http.MethodHead, fixtures.Blob)).To(Equal(1))
			_, up := reg.Layers()
			Expect(up).To(Equal(sizeOf(fresh)))
		})

		It("for what comes out of another image of the repository: nothing", func(ctx SpecContext) {
			pushed(ctx, "a:1", imageOf(amd64, layers...))
			img := must(remote.Image(must(name.ParseReference(reg.Host+"/a:1")), remote.WithContext(ctx)))
			reg.Reset()
			Expect(write(ctx, "a:2", imageOf(amd64, must(img.Layers())[1]))).To(Succeed())
			Expect(methods()).To(Equal(map[string]int{
				"GET manifest": 1, "HEAD manifest": 2, "PUT manifest": 2,
				"POST upload": 1, "PUT upload": 1, // the config
				"GET blob": 1, // the old one's, for the diffID
			}))
		})

		It("for what is mounted: nothing", func(ctx SpecContext) {
			pushed(ctx, "source:1", imageOf(amd64, layers...))
			img := must(remote.Image(must(name.ParseReference(reg.Host+"/source:1")), remote.WithContext(ctx)))
			reg.Reset()
			Expect(write(ctx, "b:1", imageOf(amd64, must(img.Layers())...))).To(Succeed())
			Expect(reg.Count(http.MethodHead, fixtures.Blob)).To(BeZero())
			Expect(reg.Requests(func(r fixtures.Request) bool { return r.Mount })).To(HaveLen(3), "the config too")
			down, up := reg.Layers()
			Expect(down + up).To(BeZero())
		})

		It("for what could be mounted, where the repository has the image: nothing, and no more mounts", func(ctx SpecContext) {
			var many []v1.Layer
			for i := range 40 {
				many = append(many, layerOf(int64(i), 100))
			}
			pushed(ctx, "source:1", imageOf(amd64, many...))
			img := must(remote.Image(must(name.ParseReference(reg.Host+"/source:1")), remote.WithContext(ctx)))
			mounted := imageOf(amd64, must(img.Layers())...)
			pushed(ctx, "b:1", mounted)
			var looked atomic.Bool
			reg.Before(func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodHead {
					looked.Store(true)
				}
				for r.Method == http.MethodPost && !looked.Load() { // the first mounts go out with it
					time.Sleep(time.Millisecond)
				}
				return false
			})
			log := &recorded{}
			_, err := sink.Write(ctx, inRegistry(reg.Host+"/b:2"), []sink.Image{mounted}, sink.Options{Jobs: 4, Log: log})
			Expect(err).NotTo(HaveOccurred())
			Expect(methods()).NotTo(Or(HaveKey("HEAD blob"), HaveKey("PATCH upload")))
			Expect(reg.Count(http.MethodPost, fixtures.Upload)).To(BeNumerically("<", 20))
			Expect(log.lines).To(HaveLen(40))
			Expect(log.lines).To(HaveEach(HavePrefix("reused layer")))
		})

		It("and look once where a mount is not granted, before the layer is fetched", func(ctx SpecContext) {
			pushed(ctx, "source:1", imageOf(amd64, layers...))
			pushed(ctx, "b:1", imageOf(amd64, layers[0])) // under another tag
			img := must(remote.Image(must(name.ParseReference(reg.Host+"/source:1")), remote.WithContext(ctx)))
			reg.Reset()
			reg.Before(func(_ http.ResponseWriter, r *http.Request) bool {
				r.URL.RawQuery = strings.NewReplacer("mount=", "unknown=", "from=", "unknown=").Replace(r.URL.RawQuery)
				return false
			})
			Expect(write(ctx, "b:2", imageOf(amd64, must(img.Layers())...))).To(Succeed())
			Expect(reg.Count(http.MethodHead, fixtures.Blob)).To(Equal(2))
			Expect(reg.MostHeads()).To(Equal(1))
			down, up := reg.Layers()
			Expect(down).To(Equal(sizeOf(layers[1])))
			Expect(up).To(Equal(sizeOf(layers[1])))
		})

		It("and look after all where a manifest names what is not there", func(ctx SpecContext) {
			pushed(ctx, "a:1", imageOf(amd64, layers...))
			stale := must(remote.Get(must(name.ParseReference(reg.Host+"/a:1")), remote.WithContext(ctx)))
			fresh := imageOf(amd64, layers[0], layers[1], layerOf(3, 10))
			reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodGet && r.URL.Path == "/v2/elsewhere/manifests/1" {
					w.Header().Set("Content-Type", string(stale.MediaType))
					_, _ = w.Write(stale.Manifest)
					reg.Before(nil)
					return true
				}
				return false
			})
			Expect(write(ctx, "elsewhere:1", fresh)).To(Succeed())
			Expect(get(reg.Host + "/elsewhere:1").Digest).To(Equal(digestOf(fresh)))
		})
	})
})
