package packager_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

// countingRegistry is a registry that counts how often each blob is read.
type countingRegistry struct {
	host string
	mu   sync.Mutex
	gets map[string]int // by digest
}

func newCountingRegistry() *countingRegistry {
	c := &countingRegistry{gets: map[string]int{}}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/sha256:") {
			c.mu.Lock()
			c.gets[path.Base(r.URL.Path)]++
			c.mu.Unlock()
		}
		inner.ServeHTTP(w, r)
	}))
	DeferCleanup(server.Close)
	c.host = strings.TrimPrefix(server.URL, "http://")
	return c
}

// layerReads returns how often each layer of the image was read since the last call.
func (c *countingRegistry) layerReads(img v1.Image) []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var counts []int
	for _, d := range blobsOf(img) {
		counts = append(counts, c.gets[d])
	}
	clear(c.gets)
	return counts
}

var _ = Describe("layers that lie in a registry", func() {
	var b *bench
	var r *countingRegistry
	BeforeEach(func() {
		b = newBench()
		r = newCountingRegistry()
	})
	// made gets no further than the image itself, as where all layers get mounted.
	made := func(source string, changes ...change) v1.Image {
		GinkgoHelper()
		jobs, err := b.prepare(b.toml("acme_root@1", source), changes...)
		Expect(err).NotTo(HaveOccurred())
		img, err := jobs[0].Build(GinkgoT().Context())
		Expect(err).NotTo(HaveOccurred())
		return img.Image
	}

	It("are used without a byte of them being read where laminate wrote them", func() {
		theirs := b.pair(flatten.None).Image
		source := push(theirs, r.host+"/acme/left:1")
		r.layerReads(theirs)
		img := made(source)
		Expect(r.layerReads(theirs)).To(HaveEach(0))
		for _, d := range blobsOf(theirs) {
			Expect(blobsOf(img)).To(ContainElement(d))
		}
		layers, err := img.Layers()
		Expect(err).NotTo(HaveOccurred())
		mountable := 0
		for _, l := range layers {
			if m, is := l.(*remote.MountableLayer); is {
				mountable++
				Expect(m.Reference.Context().RepositoryStr()).To(Equal("acme/left"))
			}
		}
		Expect(mountable).To(Equal(len(blobsOf(theirs))))
	})

	It("are read once each where others wrote them, to see what they hold", func() {
		theirs := recompressed(b.pair(flatten.None).Image, gzip9)
		source := push(theirs, r.host+"/acme/left:1")
		r.layerReads(theirs)
		img := made(source)
		Expect(r.layerReads(theirs)).To(HaveEach(1))
		for _, d := range blobsOf(theirs) {
			Expect(blobsOf(img)).To(ContainElement(d))
		}
		layers, err := img.Layers()
		Expect(err).NotTo(HaveOccurred())
		Expect(layers).To(ContainElement(BeAssignableToTypeOf(&remote.MountableLayer{})))
	})

	It("are read once where they have to be taken apart, however many pieces are wanted", func() {
		theirs := flattenedByPack(b.pair(flatten.None).Image, growTree(1).random)
		source := push(theirs, r.host+"/acme/left:1")
		r.layerReads(theirs)
		img := made(source)
		Expect(r.layerReads(theirs)).To(Equal([]int{1}))
		Expect(shared(img)).To(HaveLen(4))
	})

	It("are read once for all targets", func() {
		theirs := recompressed(b.pair(flatten.None).Image, gzip9)
		source := push(theirs, r.host+"/acme/left:1")
		r.layerReads(theirs)
		jobs, err := b.prepare(b.toml("acme_root@1", source), target("linux/amd64"), target("linux/arm64"))
		Expect(err).NotTo(HaveOccurred())
		Expect(jobs).To(HaveLen(2))
		for _, j := range jobs {
			_, err := j.Build(GinkgoT().Context())
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(r.layerReads(theirs)).To(HaveEach(1))
	})

	It("are not read at all for a plan", func() {
		theirs := b.pair(flatten.All).Image
		source := push(theirs, r.host+"/acme/left:1")
		r.layerReads(theirs)
		jobs, err := b.prepare(b.toml("acme_root@1", source), flat(flatten.Composites))
		Expect(err).NotTo(HaveOccurred())
		Expect(jobs[0].Plan).To(HaveLen(2))
		Expect(r.layerReads(theirs)).To(Equal([]int{0}))
	})
})
