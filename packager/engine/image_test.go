package engine_test

import (
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/engine"
	"laminate/packager/mediatype"
)

var _ = It("an image is asked for its layers at no more cost than their number", func() {
	layers := []v1.Layer{static.NewLayer([]byte("a"), types.DockerLayer), static.NewLayer([]byte("b"), types.DockerLayer)}
	config := &v1.ConfigFile{Config: v1.Config{Labels: map[string]string{"long": strings.Repeat("x", 1<<20)}}}
	img, err := engine.Assemble(engine.Composition{
		Config: config, Layers: []engine.NamedLayer{{Layer: layers[0]}, {Layer: layers[1]}}, Family: mediatype.Docker,
	})
	Expect(err).NotTo(HaveOccurred())

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := img.Layers()
	runtime.ReadMemStats(&after)
	Expect(err).NotTo(HaveOccurred())
	Expect(got).To(Equal(layers))
	Expect(after.TotalAlloc - before.TotalAlloc).To(BeNumerically("<", 100_000))

	got[0] = got[1]
	Expect(img.Layers()).To(Equal(layers), "the slice is the caller's")
})
