package sink_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
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

// cutAfter reads some bytes of a request, and then breaks the connection.
func cutAfter(n int64, r *http.Request) {
	_, _ = io.CopyN(io.Discard, r.Body, n)
	panic(http.ErrAbortHandler)
}

// said sends an answer without much of a body.
func said(w http.ResponseWriter, status int) bool {
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"errors":[{"code":"UNKNOWN","message":"sorry"}]}`)
	return true
}

var _ = Describe("transfers to a registry", func() {
	var reg *fixtures.Traffic
	var layers []v1.Layer
	BeforeEach(func() {
		reg = fixtures.CountedRegistry(GinkgoT())
		layers = []v1.Layer{layerOf(1, 100_000), layerOf(2, 50_000)}
	})
	write := func(ctx context.Context, ref string, img sink.Image) error {
		_, err := sink.Write(ctx, inRegistry(reg.Host+"/"+ref), []sink.Image{img}, sink.Options{Pause: time.Millisecond})
		return err
	}
	pushed := func(ctx context.Context, ref string, img sink.Image) {
		GinkgoHelper()
		Expect(write(ctx, ref, img)).To(Succeed())
		reg.Reset()
	}
	sizeOf := func(l v1.Layer) int64 { GinkgoHelper(); return must(l.Size()) }

	Describe("go on when the registry has a bad moment", func() {
		It("and says with 429 how long it lasts, at any request", func(ctx SpecContext) {
			var blob, manifest atomic.Bool
			reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
				first := r.Method == http.MethodPatch && blob.CompareAndSwap(false, true) ||
					r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") && manifest.CompareAndSwap(false, true)
				if first {
					w.Header().Set("Retry-After", "1")
					said(w, http.StatusTooManyRequests)
				}
				return first
			})
			started := time.Now()
			Expect(write(ctx, "a:1", imageOf(amd64, layers[0]))).To(Succeed())
			Expect(time.Since(started)).To(BeNumerically(">=", 2*time.Second))
			Expect(time.Since(started)).To(BeNumerically("<", 6*time.Second))
		})

		It("and answers 503 twice", func(ctx SpecContext) {
			var n atomic.Int32
			reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
				return r.Method == http.MethodPatch && n.Add(1) <= 2 && said(w, http.StatusServiceUnavailable)
			})
			Expect(write(ctx, "a:1", imageOf(amd64, layers[0]))).To(Succeed())
			Expect(get(reg.Host + "/a:1").Digest).To(Equal(digestOf(imageOf(amd64, layers[0]))))
		})

		It("and breaks the connection in the middle of a blob", func(ctx SpecContext) {
			var n atomic.Int32
			reg.Before(func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPatch && n.Add(1) == 1 {
					cutAfter(1000, r)
				}
				return false
			})
			log := &recorded{}
			_, err := sink.Write(ctx, inRegistry(reg.Host+"/a:1"), []sink.Image{imageOf(amd64, layers...)}, sink.Options{Log: log, Jobs: 1})
			Expect(err).NotTo(HaveOccurred())
			Expect(log.bytes).To(Equal(sizeOf(layers[0]) + sizeOf(layers[1])))
			Expect(n.Load()).To(Equal(int32(3)), "both layers, and one of them again")
		})

		It("and breaks it after it took a blob, which is not sent again", func(ctx SpecContext) {
			var patches, commits atomic.Int32
			reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPatch {
					patches.Add(1)
				}
				if r.Method == http.MethodPut && r.URL.Query().Has("digest") {
					switch commits.Add(1) {
					case 1: // it is done, and nobody hears of it
						reg.ServeQuietly(r)
						panic(http.ErrAbortHandler)
					case 2:
						return said(w, http.StatusNotFound)
					}
				}
				return false
			})
			_, err := sink.Write(ctx, inRegistry(reg.Host+"/a:1"), []sink.Image{imageOf(amd64, layers[0])}, sink.Options{Jobs: 1, Pause: time.Millisecond})
			Expect(err).NotTo(HaveOccurred())
			Expect(patches.Load()).To(Equal(int32(1)), "the layer")
		})

		It("and fails for a moment where it is to mount, which costs no layer", func(ctx SpecContext) {
			pushed(ctx, "source:1", imageOf(amd64, layers...))
			img := must(remote.Image(must(name.ParseReference(reg.Host+"/source:1")), remote.WithContext(ctx)))
			reg.Reset()
			var n atomic.Int32
			reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
				return r.URL.Query().Has("mount") && n.Add(1) <= 2 && said(w, http.StatusBadGateway)
			})
			Expect(write(ctx, "b:1", imageOf(amd64, must(img.Layers())...))).To(Succeed())
			down, up := reg.Layers()
			Expect(down + up).To(BeZero())
		})
	})

	Describe("end when it has no good one", func() {
		absent := func(reg *fixtures.Traffic) {
			GinkgoHelper()
			reg.Before(nil)
			_, err := remote.Head(must(name.ParseReference(reg.Host + "/a:1")))
			Expect(err).To(HaveOccurred())
		}

		It("after five attempts, whatever it is that breaks", func(ctx SpecContext) {
			img := imageOf(amd64, layers[0])
			never := func(method, part string, status int) {
				defer GinkgoRecover()
				reg := fixtures.CountedRegistry(GinkgoT())
				var n atomic.Int32
				reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
					if r.Method != method || !strings.Contains(r.URL.Path, part) {
						return false
					}
					n.Add(1)
					if status == 0 {
						cutAfter(100, r)
					}
					return said(w, status)
				})
				started := time.Now()
				_, err := sink.Write(ctx, inRegistry(reg.Host+"/a:1"), []sink.Image{img}, sink.Options{Jobs: 1, Pause: time.Millisecond})
				Expect(err).To(MatchError(HavePrefix(reg.Host + "/a:1: registry " + reg.Host + ": ")))
				if status != 0 {
					Expect(err).To(MatchError(ContainSubstring(fmt.Sprint(status))))
				}
				Expect(n.Load()).To(Equal(int32(5)), method+part)
				Expect(time.Since(started)).To(BeNumerically("<", 10*time.Second))
				absent(reg)
			}
			var all sync.WaitGroup
			all.Go(func() { never("GET", "/manifests/", 503) })
			all.Go(func() { never("POST", "/blobs/", 502) })
			all.Go(func() { never("PATCH", "/blobs/", 504) })
			all.Go(func() { never("PATCH", "/blobs/", 0) }) // breaks the connection
			all.Go(func() { never("PUT", "/manifests/", 500) })
			all.Wait()
		})

		DescribeTable("once and for all", func(ctx SpecContext, method, part string, status int) {
			asked := map[string]int{}
			reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != method || !strings.Contains(r.URL.Path, part) {
					return false
				}
				asked[r.Method+" "+r.URL.String()]++
				return said(w, status)
			})
			started := time.Now()
			_, err := sink.Write(ctx, inRegistry(reg.Host+"/a:1"), []sink.Image{imageOf(amd64, layers[0])}, sink.Options{Jobs: 1, Pause: time.Millisecond})
			Expect(err).To(MatchError(ContainSubstring(fmt.Sprint(status))))
			Expect(asked).To(HaveLen(1))
			Expect(asked).To(HaveEach(1))
			Expect(time.Since(started)).To(BeNumerically("<", time.Second))
			absent(reg)
		},
			Entry("at an upload, 401", "POST", "/blobs/", 401),
			Entry("at an upload, 403", "POST", "/blobs/", 403),
			Entry("at an upload, 404", "POST", "/blobs/", 404),
			Entry("at a blob, 403", "PATCH", "/blobs/", 403),
			Entry("at a blob, 413", "PATCH", "/blobs/", 413),
			Entry("at a manifest, 400", "PUT", "/manifests/", 400),
		)

		It("and asks to wait for longer than anybody would", func(ctx SpecContext) {
			var n atomic.Int32
			reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPatch {
					return false
				}
				n.Add(1)
				w.Header().Set("Retry-After", "3600")
				return said(w, http.StatusTooManyRequests)
			})
			_, err := sink.Write(ctx, inRegistry(reg.Host+"/a:1"), []sink.Image{imageOf(amd64, layers[0])}, sink.Options{Jobs: 1, Pause: time.Millisecond})
			Expect(err).To(MatchError(ContainSubstring("429 Too Many Requests")))
			Expect(n.Load()).To(Equal(int32(1)))
			absent(reg)
		})

		It("and is left at once when the work is called off while it is waited for", func(ctx SpecContext) {
			cctx, cancel, soon := interruptible(ctx)
			reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPatch {
					return false
				}
				w.Header().Set("Retry-After", "30")
				time.AfterFunc(100*time.Millisecond, cancel)
				return said(w, http.StatusTooManyRequests)
			})
			_, err := sink.Write(cctx, inRegistry(reg.Host+"/a:1"), []sink.Image{imageOf(amd64, layers[0])}, sink.Options{Pause: time.Millisecond})
			Expect(err).To(MatchError(context.Canceled))
			soon()
			absent(reg)
		})

		It("and a layer that cannot be read is not read five times", func(ctx SpecContext) {
			var reads atomic.Int32
			img := reread(imageOf(amd64, layers[0]), func(r io.ReadCloser) io.ReadCloser {
				reads.Add(1)
				return reader{io.MultiReader(io.LimitReader(r, 1000), errReader{io.ErrUnexpectedEOF}), r}
			})
			Expect(write(ctx, "a:1", img)).To(MatchError(HavePrefix("layer sha256:")))
			Expect(reads.Load()).To(Equal(int32(1)))
			absent(reg)
		})
	})
})
