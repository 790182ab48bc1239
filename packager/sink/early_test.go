package sink_test

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"math/rand"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
	"laminate/flatten/layer"
	"laminate/packager/sink"
)

// half is how long each half of a growing layer is: several segments of a blob.
const half = 3 << 20

// growth is a layer that is built in two halves.
type growth struct {
	*layer.Growing
	second chan error // lets the second half be written, or fail
	built  chan *layer.Built
}

// grow begins to build a layer.
func grow(ctx context.Context, seed int64) *growth {
	GinkgoHelper()
	o := layer.BuildOptions{Path: filepath.Join(GinkgoT().TempDir(), "layer")}
	g := &growth{o.Grow(), make(chan error, 1), make(chan *layer.Built, 1)}
	o.Growing = g.Growing
	random := rand.New(rand.NewSource(seed))
	go func() {
		b, _ := layer.BuildTar(ctx, func(ctx context.Context, w *tar.Writer) error {
			if err := w.WriteHeader(&tar.Header{Name: "/cnb/file", Mode: 0o644, Size: 2 * half}); err != nil {
				return err
			}
			if _, err := io.CopyN(w, random, half); err != nil {
				return err
			}
			select {
			case err := <-g.second:
				if err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
			_, err := io.CopyN(w, random, half)
			return err
		}, o)
		g.built <- b
	}()
	return g
}

// finish lets the layer be completed.
func (g *growth) finish() v1.Layer {
	g.second <- nil
	return <-g.built
}

var _ = Describe("uploads that begin before the images are complete", func() {
	var reg *fixtures.Traffic
	BeforeEach(func() { reg = fixtures.CountedRegistry(GinkgoT()) })

	begin := func(ctx context.Context, ref string) (*sink.Begun, context.Context) {
		GinkgoHelper()
		begun, ctx, err := sink.Begin(ctx, inRegistry(reg.Host+"/"+ref), sink.Options{Pause: time.Millisecond, Previous: reg.Host + "/a:previous"})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(begun.End)
		return begun, ctx
	}
	arrived := func() int64 { _, up := reg.Layers(); return up }
	sizeOf := func(l v1.Layer) int64 { GinkgoHelper(); return must(l.Size()) }
	write := func(ctx context.Context, begun *sink.Begun, layers ...v1.Layer) {
		GinkgoHelper()
		written, err := begun.Write(ctx, []sink.Image{imageOf(amd64, layers...)})
		Expect(err).NotTo(HaveOccurred())
		Expect(written[0].Digest).To(Equal(digestOf(imageOf(amd64, layers...))))
		Expect(get(reg.Host + "/a:1").Digest).To(Equal(written[0].Digest))
	}

	DescribeTable("send a layer while it is built", func(ctx SpecContext, before func()) {
		before()
		reg.Reset()
		begun, building := begin(ctx, "a:1")
		g := grow(building, 1)
		begun.Ready(g.Growing)
		Eventually(arrived).Should(BeNumerically(">", half/2))
		Expect(g.Done()).NotTo(BeClosed())
		l := g.finish()
		write(ctx, begun, l)
		Expect(arrived()).To(Equal(sizeOf(l)))
		Expect(reg.Count(http.MethodHead, fixtures.Blob)).To(BeZero())
	},
		Entry("to a new repository", func() {}),
		Entry("where the previous image is", func() {
			_, err := sink.Write(context.Background(), inRegistry(reg.Host+"/a:previous"), []sink.Image{imageOf(amd64, layerOf(7, 1000))}, sink.Options{})
			Expect(err).NotTo(HaveOccurred())
		}),
	)

	It("send a layer once it is complete where the repository may have it", func(ctx SpecContext) {
		other := grow(ctx, 1).finish()
		_, err := sink.Write(ctx, inRegistry(reg.Host+"/a:other"), []sink.Image{imageOf(amd64, other)}, sink.Options{})
		Expect(err).NotTo(HaveOccurred())
		reg.Reset()
		begun, building := begin(ctx, "a:1")
		same, fresh := grow(building, 1), grow(building, 2)
		begun.Ready(same.Growing)
		begun.Ready(fresh.Growing)
		Consistently(arrived, 300*time.Millisecond).Should(BeZero())
		layers := []v1.Layer{same.finish(), fresh.finish()}
		Eventually(arrived).Should(Equal(sizeOf(layers[1])))
		write(ctx, begun, layers...)
		Expect(arrived()).To(Equal(sizeOf(layers[1])))
	})

	It("send a layer of several images once", func(ctx SpecContext) {
		begun, building := begin(ctx, "a:1")
		g := grow(building, 1)
		begun.Ready(g.Growing)
		l := g.finish()
		begun.Ready(l)
		begun.Ready(l)
		write(ctx, begun, l)
		Expect(arrived()).To(Equal(sizeOf(l)))
	})

	It("ask a new repository for no blob", func(ctx SpecContext) {
		begun, _ := begin(ctx, "a:1")
		l := layerOf(1, 1000)
		begun.Ready(l)
		write(ctx, begun, l)
		Expect(reg.Count(http.MethodHead, fixtures.Blob)).To(BeZero())
		Expect(arrived()).To(Equal(sizeOf(l)))
	})

	DescribeTable("survive a registry that", func(ctx SpecContext, fault func(http.ResponseWriter, *http.Request) bool) {
		reg.Before(fault)
		begun, building := begin(ctx, "a:1")
		g, next := grow(building, 1), grow(building, 2)
		begun.Ready(g.Growing)
		begun.Ready(next.Growing)
		layers := []v1.Layer{g.finish(), next.finish()}
		write(ctx, begun, layers...)
		for _, l := range must(must(get(reg.Host + "/a:1").Image()).Layers()) {
			Expect(sizeOf(l)).To(BeNumerically(">", half))
			Expect(io.Copy(io.Discard, must(l.Compressed()))).To(Equal(sizeOf(l)))
		}
	},
		Entry("refuses chunks of unknown length", func(w http.ResponseWriter, r *http.Request) bool {
			return r.Method == http.MethodPatch && r.ContentLength < 0 && said(w, http.StatusLengthRequired)
		}),
		Entry("breaks the connection in the middle", once(http.MethodPatch, func(_ http.ResponseWriter, r *http.Request) {
			cutAfter(half/3, r)
		})),
		Entry("answers 500 to what begins an upload", once(http.MethodPost, func(w http.ResponseWriter, _ *http.Request) {
			said(w, http.StatusInternalServerError)
		})),
		Entry("answers 429 in the middle", once(http.MethodPatch, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.CopyN(io.Discard, r.Body, half/3)
			said(w, http.StatusTooManyRequests)
		})),
		Entry("says that the blob has another digest", once(http.MethodPut, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"errors":[{"code":"DIGEST_INVALID"}]}`)
		})),
		Entry("forgets the upload before it ends", once(http.MethodPut, func(w http.ResponseWriter, _ *http.Request) {
			said(w, http.StatusNotFound)
		})),
	)

	It("survive a registry that answers 500 after it took the blob", func(ctx SpecContext) {
		reg.Before(once(http.MethodPut, func(w http.ResponseWriter, r *http.Request) {
			reg.ServeQuietly(r)
			said(w, http.StatusInternalServerError)
		}))
		begun, building := begin(ctx, "a:1")
		g := grow(building, 1)
		begun.Ready(g.Growing)
		l := g.finish()
		write(ctx, begun, l)
		Expect(arrived()).To(Equal(sizeOf(l)))
	})

	It("are made again if the registry has lost a layer meanwhile", func(ctx SpecContext) {
		var lost, again atomic.Bool
		reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
			switch isManifest := strings.Contains(r.URL.Path, "/manifests/"); {
			case r.Method == http.MethodPut && isManifest && lost.CompareAndSwap(false, true):
				w.WriteHeader(http.StatusNotFound)
				_, _ = io.WriteString(w, `{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}`)
				return true
			case r.Method == http.MethodPatch && lost.Load():
				again.Store(true)
			case r.Method == http.MethodHead && !isManifest && lost.Load() && !again.Load():
				w.WriteHeader(http.StatusNotFound)
				return true
			}
			return false
		})
		begun, building := begin(ctx, "a:1")
		g := grow(building, 1)
		begun.Ready(g.Growing)
		write(ctx, begun, g.finish())
		Expect(again.Load()).To(BeTrue())
	})

	It("try no other layer that way once one was refused", func(ctx SpecContext) {
		var unknown atomic.Int32
		reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
			return r.Method == http.MethodPatch && r.ContentLength < 0 && unknown.Add(1) > 0 && said(w, http.StatusLengthRequired)
		})
		begun, building := begin(ctx, "a:1")
		var layers []v1.Layer
		for seed := range int64(3) {
			g := grow(building, seed)
			begun.Ready(g.Growing)
			layers = append(layers, g.finish())
			Eventually(arrived).Should(BeNumerically(">", (seed+1)*2*half))
		}
		write(ctx, begun, layers...)
		Expect(unknown.Load()).To(BeEquivalentTo(1))
	})

	It("try the next layer that way after one whose build failed", func(ctx SpecContext) {
		begun, building := begin(ctx, "a:1")
		broken, next := grow(building, 1), grow(building, 2)
		begun.Ready(broken.Growing)
		Eventually(arrived).Should(BeNumerically(">", half/2))
		broken.second <- errors.New("no such file")
		Expect(<-broken.built).To(BeNil())
		before := arrived()
		begun.Ready(next.Growing)
		Eventually(arrived).Should(BeNumerically(">", before+half/2))
		Expect(next.Done()).NotTo(BeClosed())
		next.finish()
	})

	It("leave no blob of a layer whose build fails, and its own error", func(ctx SpecContext) {
		begun, building := begin(ctx, "a:1")
		g := grow(building, 1)
		begun.Ready(g.Growing)
		Eventually(arrived).Should(BeNumerically(">", half/2))
		g.second <- errors.New("no such file")
		Expect(<-g.built).To(BeNil())
		Expect(begun.Err(errors.New("the build's"))).To(MatchError("the build's"))
		begun.End()
		Expect(reg.Count(http.MethodPut, fixtures.Upload)).To(BeZero())
		Expect(reg.Count(http.MethodPut, fixtures.Manifest)).To(BeZero())
	})

	It("end the build where pushing is denied", func(ctx SpecContext) {
		reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"errors":[{"code":"DENIED","message":"no"}]}`)
			return true
		})
		begun, building := begin(ctx, "a:1")
		begun.Ready(layerOf(1, 1000))
		Eventually(building.Done()).Should(BeClosed())
		err := begun.Err(building.Err())
		Expect(err).To(MatchError(ContainSubstring(reg.Host + "/a:1")))
		Expect(strings.ToLower(err.Error())).To(ContainSubstring("denied"))
	})

	It("end when the run does, with a layer half built", func(ctx SpecContext) {
		begun, building := begin(ctx, "a:1")
		g := grow(building, 1)
		begun.Ready(g.Growing)
		Eventually(arrived).Should(BeNumerically(">", half/2))
		began := time.Now()
		begun.End()
		Expect(time.Since(began)).To(BeNumerically("<", 10*time.Second))
		Expect(<-g.built).To(BeNil())
		Expect(reg.Count(http.MethodPut, fixtures.Upload)).To(BeZero())
	})
})

// once is a fault of the first request with a method that is about a blob.
func once(method string, fault func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) bool {
	var done atomic.Bool
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method || strings.Contains(r.URL.Path, "/manifests/") || !done.CompareAndSwap(false, true) {
			return false
		}
		fault(w, r)
		return true
	}
}
