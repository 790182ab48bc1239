package engine_test

import (
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/engine"
)

var _ = It("an image is asked for its layers at no more cost than their number", func() {
	layers := []v1.Layer{static.NewLayer([]byte("a"), types.DockerLayer), static.NewLayer([]byte("b"), types.DockerLayer)}
	made, err := mutate.AppendLayers(empty.Image, layers...)
	Expect(err).NotTo(HaveOccurred())
	config, err := made.ConfigFile()
	Expect(err).NotTo(HaveOccurred())
	config.Config.Labels = map[string]string{"long": strings.Repeat("x", 1<<20)}
	made, err = mutate.ConfigFile(made, config)
	Expect(err).NotTo(HaveOccurred())
	img := engine.WithLayers(made, layers)

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := img.Layers()
	runtime.ReadMemStats(&after)
	Expect(err).NotTo(HaveOccurred())
	Expect(got).To(Equal(layers))
	Expect(after.TotalAlloc - before.TotalAlloc).To(BeNumerically("<", 100_000))

	got[0] = got[1]
	Expect(img.Layers()).To(Equal(layers), "the slice is the caller's")
	Expect(img.Digest()).To(Equal(must(made.Digest())))
})

func must[T any](v T, err error) T {
	GinkgoHelper()
	Expect(err).NotTo(HaveOccurred())
	return v
}
