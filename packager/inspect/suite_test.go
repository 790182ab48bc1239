package inspect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures/workbench"
	"laminate/packager/image"
	"laminate/packager/inspect"
	"laminate/packager/stream"
)

func TestInspect(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "packager/inspect")
}

// made is an image that a test makes up.
type made struct {
	labels map[string]string
	// layers are tars. LAYER1 in a label is the diffID of the first.
	layers  [][]byte
	history []string
	change  func(*v1.ConfigFile)
}

// raw returns the image.
func (m made) raw() (v1.Image, error) {
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	var err error
	for i, tar := range m.layers {
		add := mutate.Addendum{Layer: static.NewLayer(tar, types.OCIUncompressedLayer)}
		if i < len(m.history) {
			add.History.CreatedBy = m.history[i]
		}
		if img, err = mutate.Append(img, add); err != nil {
			return nil, err
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config.Labels = "linux", "amd64", map[string]string{}
	for key, value := range m.labels {
		for i := len(m.layers); i > 0; i-- {
			value = string(bytes.ReplaceAll([]byte(value), fmt.Appendf(nil, "LAYER%d", i), []byte(config.RootFS.DiffIDs[i-1].String())))
		}
		config.Config.Labels[key] = value
	}
	if m.change != nil {
		m.change(config)
	}
	return mutate.ConfigFile(img, config)
}

// view opens the image as a source does.
func (m made) view(log *workbench.Log) (*image.Image, error) {
	raw, err := m.raw()
	if err != nil {
		return nil, err
	}
	return viewOf(raw, log)
}

func viewOf(raw v1.Image, log *workbench.Log) (*image.Image, error) {
	return image.New(context.Background(), image.Raw{Image: raw, Name: "it", Stored: true, Limits: stream.Limits{}.OrDefault(), Log: log})
}

// report describes images, without reading layers, and checks the result against the schema.
func report(images ...*image.Image) *inspect.Report {
	GinkgoHelper()
	r, err := inspect.New("it", v1.Hash{}, images)
	Expect(err).NotTo(HaveOccurred())
	expectValid(r)
	return r
}

// describe describes an image that a test makes up.
func describe(m made) inspect.Image {
	GinkgoHelper()
	img, err := m.view(&workbench.Log{})
	Expect(err).NotTo(HaveOccurred())
	return report(img).Images[0]
}

func expectValid(r *inspect.Report) {
	GinkgoHelper()
	text, err := json.Marshal(r)
	Expect(err).NotTo(HaveOccurred())
	workbench.ExpectValid("inspect.schema.json", text)
}

// layersOf returns as many different layers.
func layersOf(n int) (all [][]byte) {
	for i := range n {
		all = append(all, make([]byte, 1024+512*i)) // an empty tar, and padding
	}
	return all
}
