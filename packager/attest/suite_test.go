package attest_test

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"laminate/fixtures"
	"laminate/fixtures/workbench"
	"laminate/packager/image"
	"laminate/packager/stream"
)

func TestAttest(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "packager/attest")
}

// imageOf is an image of so many layers with labels, in which LAYERn is the diffID of the nth layer.
func imageOf(layers int, labels map[string]string) *image.Image {
	GinkgoHelper()
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	var err error
	for i := range layers {
		img, err = mutate.AppendLayers(img, static.NewLayer(make([]byte, 1024+512*i), types.OCIUncompressedLayer))
		Expect(err).NotTo(HaveOccurred())
	}
	config, err := img.ConfigFile()
	Expect(err).NotTo(HaveOccurred())
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config.Labels = "linux", "amd64", map[string]string{}
	for key, value := range labels {
		for i, d := range config.RootFS.DiffIDs {
			value = strings.ReplaceAll(value, "LAYER"+string(rune('1'+i)), d.String())
		}
		config.Config.Labels[key] = value
	}
	img, err = mutate.ConfigFile(img, config)
	Expect(err).NotTo(HaveOccurred())
	return viewOf(img, true)
}

func viewOf(img v1.Image, stored bool) *image.Image {
	GinkgoHelper()
	view, err := image.New(context.Background(), image.Raw{Image: img, Name: "it", Stored: stored, Limits: stream.Limits{}.OrDefault(), Log: &workbench.Log{}})
	Expect(err).NotTo(HaveOccurred())
	return view
}

// cyclonedxSchema is the schema of CycloneDX 1.6, which the library's module has.
func cyclonedxSchema() *jsonschema.Schema {
	GinkgoHelper()
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go")
	list.Dir = fixtures.Root()
	dir, err := list.Output()
	Expect(err).NotTo(HaveOccurred())
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for name, file := range map[string]string{"spdx.schema.json": "spdx.schema.json", "jsf-0.82.schema.json": "jsf-0.82.schemax.json", "bom-1.6.schema.json": "bom-1.6.schema.json"} {
		f, err := filepath.Glob(filepath.Join(string(bytes.TrimSpace(dir)), "schema", strings.TrimSuffix(file, ".json")+"*"))
		Expect(err).NotTo(HaveOccurred())
		Expect(f).NotTo(BeEmpty(), file)
		loaded, err := (jsonschema.FileLoader{}).Load("file://" + f[0])
		Expect(err).NotTo(HaveOccurred())
		Expect(c.AddResource("http://cyclonedx.org/schema/"+name, loaded)).To(Succeed())
	}
	schema, err := c.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	Expect(err).NotTo(HaveOccurred())
	return schema
}
