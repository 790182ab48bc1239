package sink_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
	"laminate/packager/sink"
)

var _ = Describe("early uploads end", func() {
	var reg *fixtures.Traffic
	var log *recorded
	BeforeEach(func() { reg, log = fixtures.CountedRegistry(GinkgoT()), &recorded{} })

	begin := func(ctx context.Context, o sink.Options) (*sink.Begun, context.Context) {
		GinkgoHelper()
		o.Pause, o.Log = time.Millisecond, log
		begun, ctx, err := sink.Begin(ctx, inRegistry(reg.Host+"/a:1"), o)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(begun.End)
		return begun, ctx
	}
	// denies refuses to begin an upload.
	denies := func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"errors":[{"code":"DENIED","message":"no"}]}`)
		return true
	}
	lines := func() []string {
		log.mu.Lock()
		defer log.mu.Unlock()
		return slices.Clone(log.lines)
	}

	It("with the error of the first, and not with that of those which it ends", func(ctx SpecContext) {
		reg.Before(denies)
		var layers []v1.Layer
		for seed := range int64(20) {
			layers = append(layers, layerOf(seed, 10))
		}
		for range 20 {
			begun, building := begin(ctx, sink.Options{Jobs: 1})
			for _, l := range layers {
				begun.Ready(l)
			}
			Eventually(building.Done()).Should(BeClosed())
			Expect(begun.Err(building.Err())).To(MatchError(ContainSubstring("DENIED")))
			begun.End()
		}
	})

	It("without an error once the images are written", func(ctx SpecContext) {
		begun, building := begin(ctx, sink.Options{})
		_, err := begun.Write(building, []sink.Image{imageOf(amd64, layerOf(1, 1000))})
		Expect(err).NotTo(HaveOccurred())
		reg.Before(denies)
		begun.Ready(layerOf(2, 1000))
		Eventually(building.Done()).Should(BeClosed())
		Expect(begun.Err(nil)).To(Succeed())
	})

	It("with an error that says nothing of media types where a blob is refused", func(ctx SpecContext) {
		reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
			return r.Method == http.MethodPost && said(w, http.StatusUnsupportedMediaType)
		})
		begun, building := begin(ctx, sink.Options{})
		begun.Ready(layerOf(1, 1000))
		Eventually(building.Done()).Should(BeClosed())
		err := begun.Err(building.Err())
		Expect(err).To(MatchError(ContainSubstring("415 Unsupported Media Type")))
		Expect(err).NotTo(MatchError(ContainSubstring("media types")))
	})

	It("with a task for what is sent after a layer is complete", func(ctx SpecContext) {
		taken := make(chan struct{})
		reg.Before(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPatch {
				<-taken
			}
			return false
		})
		begun, building := begin(ctx, sink.Options{})
		g := grow(building, 1)
		begun.Ready(g.Growing)
		l := g.finish()
		task := "uploading layer " + must(l.Digest()).Hex[:12]
		timeout := time.After(time.Minute)
		for !slices.Contains(lines(), task) {
			select {
			case <-timeout:
				close(taken)
				Fail("no task: nothing says what the run waits for")
			case <-time.After(time.Second):
			}
		}
		Expect(lines()).NotTo(ContainElement("done"))
		close(taken)
		_, err := begun.Write(building, []sink.Image{imageOf(amd64, l)})
		Expect(err).NotTo(HaveOccurred())
		Expect(log.bytes).To(Equal(must(l.Size())))
		Expect(lines()[:2]).To(HaveExactElements(task, "done"))
	})

	It("with a note for each layer once the images are written", func(ctx SpecContext) {
		_, err := sink.Write(ctx, inRegistry(reg.Host+"/other:1"), []sink.Image{imageOf(amd64, layerOf(1, 1000))}, sink.Options{})
		Expect(err).NotTo(HaveOccurred())
		source := must(remote.Image(must(name.ParseReference(reg.Host + "/other:1"))))
		l := must(source.Layers())[0]
		begun, building := begin(ctx, sink.Options{})
		begun.Ready(l)
		note := "reused layer " + must(l.Digest()).Hex[:12]
		Eventually(lines).Should(ContainElement(note))
		before := len(lines())
		_, err = begun.Write(building, []sink.Image{{Image: source, Target: amd64}})
		Expect(err).NotTo(HaveOccurred())
		Expect(lines()[before:]).To(ContainElement(note))
	})

	It("well where a registry answers before it has the chunk", func(ctx SpecContext) {
		reg.Before(once(http.MethodPatch, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", r.URL.Path)
			w.WriteHeader(http.StatusAccepted)
		}))
		begun, building := begin(ctx, sink.Options{})
		g, next := grow(building, 1), grow(building, 2)
		begun.Ready(g.Growing)
		begun.Ready(next.Growing)
		img := imageOf(amd64, g.finish(), next.finish())
		_, err := begun.Write(building, []sink.Image{img})
		Expect(err).NotTo(HaveOccurred())
		for _, l := range must(must(get(reg.Host + "/a:1").Image()).Layers()) {
			Expect(io.Copy(io.Discard, must(l.Compressed()))).To(Equal(must(l.Size())))
		}
	})

	It("well where a registry takes a chunk and never answers", func(ctx SpecContext) {
		gone := make(chan struct{})
		DeferCleanup(func() { close(gone) })
		reg.Before(once(http.MethodPatch, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			select {
			case <-r.Context().Done():
			case <-gone:
			}
			panic(http.ErrAbortHandler)
		}))
		begun, building := begin(ctx, sink.Options{Stall: 2 * time.Second})
		g := grow(building, 1)
		begun.Ready(g.Growing)
		l := g.finish()
		_, err := begun.Write(building, []sink.Image{imageOf(amd64, l)})
		Expect(err).NotTo(HaveOccurred())
		Expect(get(reg.Host + "/a:1").Digest).To(Equal(digestOf(imageOf(amd64, l))))
	})

	It("well where the build takes longer than a registry may", func(ctx SpecContext) {
		begun, building := begin(ctx, sink.Options{Stall: time.Second})
		g := grow(building, 1)
		begun.Ready(g.Growing)
		time.Sleep(3 * time.Second)
		l := g.finish()
		_, err := begun.Write(building, []sink.Image{imageOf(amd64, l)})
		Expect(err).NotTo(HaveOccurred())
		Expect(reg.Count(http.MethodPatch, fixtures.Upload)).To(Equal(1))
	})
})

var _ = Describe("early uploads with tags in two repositories", func() {
	It("send a layer once, and mount it in the other", func(ctx SpecContext) {
		reg := fixtures.CountedRegistry(GinkgoT())
		begun, building, err := sink.Begin(ctx, inRegistry(reg.Host+"/a:1"), sink.Options{Jobs: 1, Tags: []string{reg.Host + "/b:1", reg.Host + "/a:2"}})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(begun.End)
		g := grow(building, 1)
		begun.Ready(g.Growing)
		below := layerOf(2, 1000)
		begun.Ready(below)
		l := g.finish()
		written, err := begun.Write(building, []sink.Image{imageOf(amd64, below, l)})
		Expect(err).NotTo(HaveOccurred())
		Expect(written).To(HaveLen(3))
		for _, ref := range []string{"/a:1", "/a:2", "/b:1"} {
			Expect(get(reg.Host + ref).Digest).To(Equal(written[0].Digest))
		}
		_, up := reg.Layers()
		Expect(up).To(Equal(must(l.Size()) + must(below.Size())))
	})
})
