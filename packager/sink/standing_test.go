package sink_test

import (
	"strings"

	"github.com/google/go-containerregistry/pkg/compression"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/sink"
)

var _ = Describe("layers that the Docker daemon has", func() {
	plain := []tarball.LayerOption{tarball.WithCompression(compression.None), tarball.WithMediaType(types.DockerUncompressedLayer)}
	low, middle, high := layerOf(1, 1000, plain...), layerOf(2, 1000), layerOf(3, 1000)
	chain := func(img sink.Image) []string {
		GinkgoHelper()
		var all []string
		for _, d := range must(img.ConfigFile()).RootFS.DiffIDs {
			all = append(all, d.String())
		}
		return all
	}
	other := "sha256:" + strings.Repeat("0", 64)
	file := func(i int, img sink.Image) string {
		GinkgoHelper()
		l := must(img.Layers())[i]
		return must(l.Digest()).Hex + map[types.MediaType]string{types.DockerLayer: ".tar.gz", types.DockerUncompressedLayer: ".tar"}[must(l.MediaType())]
	}

	It("are not sent: the longest chain from below that any image has", func(ctx SpecContext) {
		e := newEngine()
		img := imageOf(arm64, low, middle, high, low)
		e.chains["sha256:a"] = []string{other}
		e.chains["sha256:b"] = append(chain(img)[:2:2], other, chain(img)[3])
		e.chains["sha256:c"] = chain(img)[:1]
		log := &recorded{}
		_, err := sink.Write(ctx, inDaemon("x"), []sink.Image{img}, sink.Options{Daemon: e.at, Log: log})
		Expect(err).NotTo(HaveOccurred())
		By("sending the layer that stands below another time, where it lies on top")
		Expect(e.loaded).To(Equal([]string{must(img.ConfigName()).String(), file(2, img), file(0, img), "manifest.json"}))
		Expect(e.loads).To(Equal(1))
		Expect(log.lines).To(ConsistOf(HavePrefix("reused layer"), HavePrefix("reused layer"), HavePrefix("writing layer"), HavePrefix("writing layer"), "done", "done"))
	})

	DescribeTable("are sent to an engine that looks into the archive for each", func(ctx SpecContext, name, store string) {
		e := newEngine()
		e.name, e.store = name, store
		img := imageOf(arm64, low, middle)
		e.chains[other] = chain(img)
		_, err := sink.Write(ctx, inDaemon("x"), []sink.Image{img}, sink.Options{Daemon: e.at})
		Expect(err).NotTo(HaveOccurred())
		Expect(e.loaded).To(HaveLen(4))
	},
		Entry("with images in containerd", "Engine", "io.containerd.snapshotter.v1"),
		Entry("that is not Docker's", "Podman Engine", ""),
	)

	It("are sent after all if it does not", func(ctx SpecContext) {
		e := newEngine()
		img := imageOf(arm64, low, middle)
		e.chains[other] = chain(img)[:1]
		e.refuses = 1
		_, err := sink.Write(ctx, inDaemon("x"), []sink.Image{img}, sink.Options{Daemon: e.at})
		Expect(err).NotTo(HaveOccurred())
		Expect(e.loads).To(Equal(2))
		Expect(e.loaded).To(HaveLen(4))
	})

	It("are looked for in a hundred images at most", func(ctx SpecContext) {
		e := newEngine()
		for i := range 300 {
			e.chains["sha256:"+strings.Repeat("1", i+1)] = []string{other}
		}
		_, err := sink.Write(ctx, inDaemon("x"), []sink.Image{imageOf(arm64, low)}, sink.Options{Daemon: e.at})
		Expect(err).NotTo(HaveOccurred())
		Expect(e.inspected).To(BeNumerically("<", 110))
	})
})
