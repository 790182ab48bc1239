package builder_test

import (
	"encoding/json"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/pelletier/go-toml/v2"

	"laminate/builder"
	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/engine"
	"laminate/packager/mediatype"
)

// whole writes a builder.toml with everything in it.
func (b *bench) whole() string {
	GinkgoHelper()
	b.Add(module{Ref: "acme/a@1.0", TOML: "\n[[targets]]\nos = \"linux\"\narch = \"amd64\"\n", Files: map[string]string{"lib/data": "a"}})
	b.Component("acme/shared@1")
	b.Component("acme/sys@1")
	b.Composite("acme/left@1", "acme/a@1.0", "acme/shared@1")
	b.Composite("acme/right@1", "acme/shared@1")
	b.Extension("acme/ext@1")
	return b.toml("description = 'all of it'\n",
		buildpacks("acme_left@1", "acme_right@1", "acme_a@1.0", "acme_shared@1", "acme_sys@1"), extensions("acme_ext@1"),
		order("acme/left acme/sys@1?", "acme/right@1"), orderExtensions("acme/ext?"),
		"[[system.pre.buildpacks]]\nid = 'acme/sys'\n[[system.post.buildpacks]]\nid = 'acme/sys'\nversion = '1'\noptional = true\n",
		"[[run.images]]\nimage = 'oci:run'\nmirrors = ['oci:run']\n[[run.images]]\nimage = 'oci:base'\n",
		"[[build.env]]\nname = 'A'\nvalue = 'b'\n[[build.env]]\nname = 'A'\nvalue = 'c'\nsuffix = 'append'\ndelim = ':'\n")
}

var _ = Describe("a builder", func() {
	var b *bench
	var img *engine.Image
	BeforeEach(func() {
		b = newBench()
		img = b.build(b.whole())
	})

	It("has the build image's layers, the lifecycle, buildpacks, extensions and configuration, from below", func() {
		var by []string
		for _, h := range configOf(img.Image).History {
			by = append(by, h.CreatedBy)
		}
		Expect(by).To(Equal([]string{"first", "ENV", "laminate: lifecycle 0.21.0", "laminate: acme/left@1", "laminate: acme/a@1.0", "laminate: acme/shared@1",
			"laminate: acme/right@1", "laminate: acme/sys@1", "laminate: acme/ext@1", "laminate: configuration"}))
	})

	It("has a lifecycle with the headers of its archive, and the link that older platforms follow", func() {
		Expect(goldens(layersOf(img.Image)[1])).To(Equal(strings.TrimSpace(`
5 0755 0:0 1980-01-01T00:00:01Z /cnb/lifecycle
0 0755 0:0 1970-01-01T00:00:00Z /cnb/lifecycle/lifecycle (25 bytes, 8022d17e)
0 0755 0:0 1970-01-01T00:00:00Z /cnb/lifecycle/launcher (24 bytes, f1a66c8d)
2 0777 0:0 1970-01-01T00:00:00Z /cnb/lifecycle/analyzer -> lifecycle
2 0777 0:0 1970-01-01T00:00:00Z /cnb/lifecycle/builder -> lifecycle
2 0777 0:0 1970-01-01T00:00:00Z /cnb/lifecycle/creator -> lifecycle
2 0777 0:0 1970-01-01T00:00:00Z /cnb/lifecycle/detector -> lifecycle
2 0777 0:0 1970-01-01T00:00:00Z /cnb/lifecycle/exporter -> lifecycle
2 0777 0:0 1970-01-01T00:00:00Z /cnb/lifecycle/extender -> lifecycle
2 0777 0:0 1970-01-01T00:00:00Z /cnb/lifecycle/rebaser -> lifecycle
2 0777 0:0 1970-01-01T00:00:00Z /cnb/lifecycle/restorer -> lifecycle
2 0644 0:0 1980-01-01T00:00:01Z /lifecycle -> /cnb/lifecycle`)))
	})

	It("has a configuration layer of directories and files", func() {
		layers := layersOf(img.Image)
		all := entriesOf(layers[len(layers)-1])
		var lines []string
		for _, e := range all {
			e.Body = ""
			lines = append(lines, golden(e))
		}
		Expect(strings.Join(lines, "\n")).To(Equal(strings.TrimSpace(`
5 0755 1234:4321 1980-01-01T00:00:01Z /workspace
5 0755 1234:4321 1980-01-01T00:00:01Z /layers
5 0755 0:0 1980-01-01T00:00:01Z /cnb
5 0755 0:0 1980-01-01T00:00:01Z /cnb/buildpacks
5 0755 0:0 1980-01-01T00:00:01Z /cnb/extensions
5 0755 0:0 1980-01-01T00:00:01Z /platform
5 0755 0:0 1980-01-01T00:00:01Z /platform/env
5 0755 0:0 1980-01-01T00:00:01Z /cnb/build-config
5 0755 0:0 1980-01-01T00:00:01Z /cnb/build-config/env
0 0644 0:0 1980-01-01T00:00:01Z /cnb/build-config/env/A
0 0644 0:0 1980-01-01T00:00:01Z /cnb/build-config/env/A.append
0 0644 0:0 1980-01-01T00:00:01Z /cnb/build-config/env/A.delim
0 0644 0:0 1980-01-01T00:00:01Z /cnb/order.toml
0 0644 0:0 1980-01-01T00:00:01Z /cnb/run.toml
0 0644 0:0 1980-01-01T00:00:01Z /cnb/stack.toml
0 0644 0:0 1980-01-01T00:00:01Z /cnb/system.toml`)))
	})

	It("has files that say what the lifecycle reads, with versions resolved", func() {
		files := seenIn(img.Image)
		Expect(files["/cnb/build-config/env/A"].Body + files["/cnb/build-config/env/A.append"].Body + files["/cnb/build-config/env/A.delim"].Body).To(Equal("bc:"))

		// As the lifecycle has it (buildpack.Order, platform/files).
		type element struct {
			ID       string   `toml:"id"`
			Version  string   `toml:"version"`
			Optional bool     `toml:"optional,omitempty"`
			ExecEnv  []string `toml:"exec-env,omitempty"`
		}
		type group []struct {
			Group []element `toml:"group"`
		}
		var order struct {
			Order           group `toml:"order"`
			OrderExtensions group `toml:"order-extensions"`
		}
		read := func(name string, v any) {
			GinkgoHelper()
			dec := toml.NewDecoder(strings.NewReader(files[name].Body))
			Expect(dec.DisallowUnknownFields().Decode(v)).To(Succeed(), files[name].Body)
		}
		read("/cnb/order.toml", &order)
		Expect(order.Order).To(Equal(group{
			{Group: []element{{ID: "acme/left", Version: "1"}, {ID: "acme/sys", Version: "1", Optional: true}}},
			{Group: []element{{ID: "acme/right", Version: "1"}}}}))
		Expect(order.OrderExtensions).To(Equal(group{{Group: []element{{ID: "acme/ext", Version: "1"}}}}))

		type runImage struct {
			Image   string   `toml:"image"`
			Mirrors []string `toml:"mirrors"`
		}
		var stack struct {
			RunImage runImage `toml:"run-image"`
		}
		read("/cnb/stack.toml", &stack)
		Expect(stack.RunImage).To(Equal(runImage{"oci:run", []string{"oci:run"}}))
		var run struct {
			Images []runImage `toml:"images"`
		}
		read("/cnb/run.toml", &run)
		Expect(run.Images).To(Equal([]runImage{{"oci:run", []string{"oci:run"}}, {Image: "oci:base"}}))
		var system struct {
			System struct {
				Pre, Post struct {
					Buildpacks []element `toml:"buildpacks"`
				}
			} `toml:"system"`
		}
		read("/cnb/system.toml", &system)
		Expect(system.System.Pre.Buildpacks).To(Equal([]element{{ID: "acme/sys", Version: "1"}}))
		Expect(system.System.Post.Buildpacks).To(Equal([]element{{ID: "acme/sys", Version: "1", Optional: true}}))
	})

	It("keeps the build image's user, environment, command and labels, and works in /layers", func() {
		was, is := baseImage{}.image(), img.Image
		c := configOf(is).Config
		Expect(c.WorkingDir).To(Equal("/layers"))
		for key, value := range configOf(was).Config.Labels {
			Expect(c.Labels).To(HaveKeyWithValue(key, value))
		}
		c.WorkingDir, c.Labels = "/home/cnb", configOf(was).Config.Labels
		Expect(c).To(Equal(configOf(was).Config))
		Expect(configOf(is).Author).To(Equal("somebody"))
		Expect(configOf(is).Created.Time).To(BeTemporally("==", layer.Epoch))
	})

	It("has labels that platforms read, to the letter", func() {
		Expect(labelOf(img.Image, "io.buildpacks.builder.metadata")).To(Equal(`{"description":"all of it",` +
			`"buildpacks":[{"id":"acme/left","version":"1"},{"id":"acme/a","version":"1.0"},{"id":"acme/shared","version":"1"},{"id":"acme/right","version":"1"},{"id":"acme/sys","version":"1"}],` +
			`"extensions":[{"id":"acme/ext","version":"1"}],"stack":{"runImage":{"image":"","mirrors":null}},` +
			`"lifecycle":{"version":"0.21.0","api":{"buildpack":"0.9","platform":"0.13"},"apis":{"buildpack":{"deprecated":[],"supported":["0.9","0.10","0.11"]},"platform":{"deprecated":[],"supported":["0.13","0.14","0.15"]}}},` +
			`"createdBy":{"name":"laminate","version":"1.2.3"},"images":[{"image":"oci:run","mirrors":["oci:run"]},{"image":"oci:base","mirrors":null}]}`))
		Expect(labelOf(img.Image, "io.buildpacks.buildpack.order")).To(Equal(`[{"group":[{"id":"acme/left"},{"id":"acme/sys","version":"1","optional":true}]},{"group":[{"id":"acme/right","version":"1"}]}]`))
		Expect(labelOf(img.Image, "io.buildpacks.buildpack.order-extensions")).To(Equal(`[{"group":[{"id":"acme/ext"}]}]`))
		Expect(labelOf(img.Image, "io.buildpacks.buildpack.system")).To(Equal(`{"pre":{"buildpacks":[{"id":"acme/sys","version":"1"}]},"post":{"buildpacks":[{"id":"acme/sys","version":"1","optional":true}]}}`))

		var pairs []string
		for i, d := range configOf(img.Image).RootFS.DiffIDs {
			pairs = append(pairs, d.String(), "layer "+string(rune('0'+i)))
		}
		layers := strings.NewReplacer(pairs...) // diffIDs, by their layer's number
		Expect(layers.Replace(labelOf(img.Image, "io.buildpacks.buildpack.layers"))).To(Equal(`{"acme/a":{"1.0":{"api":"0.10","targets":[{"os":"linux","arch":"amd64"}],"layerDiffID":"layer 3"}},` +
			`"acme/left":{"1":{"api":"0.10","order":[{"group":[{"id":"acme/a","version":"1.0"},{"id":"acme/shared","version":"1"}]}],"layerDiffID":"layer 2"}},` +
			`"acme/right":{"1":{"api":"0.10","order":[{"group":[{"id":"acme/shared","version":"1"}]}],"layerDiffID":"layer 5"}},` +
			`"acme/shared":{"1":{"api":"0.10","layerDiffID":"layer 4"}},"acme/sys":{"1":{"api":"0.10","layerDiffID":"layer 6"}}}`))
		Expect(layers.Replace(labelOf(img.Image, "io.buildpacks.extension.layers"))).To(Equal(`{"acme/ext":{"1":{"api":"0.10","layerDiffID":"layer 7"}}}`))
	})

	It("lists a buildpack that several composites share once in its metadata", func() {
		Expect(strings.Count(labelOf(img.Image, "io.buildpacks.builder.metadata"), `"acme/shared"`)).To(Equal(1))
	})

	It("is the same at every run, on any number of cores, and from any work directory", func() {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
		for _, mode := range []flatten.Mode{flatten.None, flatten.Composites, flatten.All} {
			first := ""
			for n := range 4 {
				runtime.GOMAXPROCS(1 + n)
				d := digestOf(b.build(b.At("builder.toml"), flat(mode)).Image)
				if n == 0 {
					first = d
				}
				Expect(d).To(Equal(first))
			}
		}
	})

	It("shows the same files however it is flattened, and its labels differ in diffIDs only", func() {
		want, wantLabels := shows(img.Image), withoutDiffIDs(img.Image)
		for _, c := range []change{flat(flatten.Composites), flat(flatten.All), group("acme/left", "acme/sys"), flat(flatten.AsPackaged)} {
			other := b.build(b.At("builder.toml"), c)
			Expect(shows(other.Image)).To(Equal(want))
			Expect(withoutDiffIDs(other.Image)).To(Equal(wantLabels))
		}
	})
})

// withoutDiffIDs returns the labels without what says where things lie. What the
// metadata lists keeps its order under every plan.
func withoutDiffIDs(image interface {
	RawConfigFile() ([]byte, error)
}) map[string]string {
	GinkgoHelper()
	raw, err := image.RawConfigFile()
	Expect(err).NotTo(HaveOccurred())
	var config struct {
		Config struct{ Labels map[string]string } `json:"config"`
	}
	Expect(json.Unmarshal(raw, &config)).To(Succeed())
	labels := config.Config.Labels
	delete(labels, flatten.RecipesLabelKey)
	for _, kind := range []flatten.Kind{flatten.Buildpack, flatten.Extension} {
		label, err := flatten.ParseLayersLabel(labels[kind.LayersLabelKey()])
		Expect(err).NotTo(HaveOccurred())
		for _, r := range label.Refs() {
			info := label[r.ID][r.Version]
			info.LayerDiffID = ""
			label[r.ID][r.Version] = info
		}
		text, err := json.Marshal(label)
		Expect(err).NotTo(HaveOccurred())
		labels[kind.LayersLabelKey()] = string(text)
	}
	return labels
}

var _ = Describe("a buildpackless builder", func() {
	It("has a lifecycle and configuration, and empty labels of buildpacks", func() {
		b := newBench()
		img := b.build(b.toml())
		Expect(layersOf(img.Image)).To(HaveLen(3))
		labels := configOf(img.Image).Config.Labels
		Expect(labels).To(HaveKeyWithValue("io.buildpacks.buildpack.layers", "{}"))
		Expect(labels).To(HaveKeyWithValue("io.buildpacks.extension.layers", "{}"))
		Expect(labels).To(HaveKeyWithValue("io.buildpacks.buildpack.order", "null"))
		Expect(labels).To(HaveKeyWithValue("io.buildpacks.buildpack.order-extensions", "null"))
		Expect(labels).NotTo(HaveKey("io.buildpacks.buildpack.system"))
		Expect(labels["io.buildpacks.builder.metadata"]).To(ContainSubstring(`"buildpacks":null,"extensions":null`))
		files := seenIn(img.Image)
		Expect(files).To(HaveKey("/cnb/order.toml"))
		Expect(files).NotTo(HaveKey("/cnb/system.toml"))
	})

	It("comes from a configuration with buildpacks too, where they are left out", func() {
		b := newBench()
		file := b.whole()
		less := b.build(file, func(o *builder.Options) { o.Config = o.Config.WithoutBuildpacks() })
		Expect(layersOf(less.Image)).To(HaveLen(3))
		Expect(seenIn(less.Image)).To(HaveKey("/cnb/build-config/env/A"))
		Expect(seenIn(less.Image)).NotTo(HaveKey("/cnb/system.toml"))
	})
})

var _ = Describe("a builder's stack", func() {
	stack := "[stack]\nid = 's'\nbuild-image = 'oci:base'\nrun-image = 'oci:run'\nrun-image-mirrors = ['oci:run']\n"

	It("is in the metadata where the file names one", func() {
		b := newBench()
		of := map[string]string{"io.buildpacks.stack.id": "s"}
		b.keepImage("base", baseImage{labels: of}.image())
		b.keepImage("run", baseImage{labels: of}.image())
		img := b.build(b.toml(stack))
		Expect(labelOf(img.Image, "io.buildpacks.builder.metadata")).To(ContainSubstring(`"stack":{"runImage":{"image":"oci:run","mirrors":["oci:run"]}}`))
	})

	It("has to be that of the build image, and of every run image", func() {
		b := newBench()
		b.keepImage("run", baseImage{labels: map[string]string{"io.buildpacks.stack.id": "t"}}.image())
		Expect(b.message(b.fails(b.toml(stack)))).To(Equal(`builder.toml:2: stack "s" differs from that of the build image oci:base, which is ""` + "\n" +
			`builder.toml:4: run image oci:run has stack "t", but the builder has "s"`))
	})
})

var _ = Describe("media types", func() {
	DescribeTable("are of one family", func(base baseImage, c layer.Compression, wanted mediatype.Family, manifest types.MediaType, layers ...types.MediaType) {
		b := newBench()
		b.Component("acme/a@1")
		// A package of the other family, whose layer is reused where it may be.
		b.keepImage("base", base.image())
		b.pack("oci:pkg", flatten.None, "acme_a@1")
		b.pack("a.cnb", flatten.None, "acme_a@1")
		for _, source := range []string{"oci:pkg", "a.cnb"} {
			img := b.build(b.toml(buildpacks(source), order("acme/a@1")), func(o *builder.Options) { o.Compression, o.MediaTypes = c, wanted })
			m, err := img.Image.Manifest()
			Expect(err).NotTo(HaveOccurred())
			Expect(m.MediaType).To(Equal(manifest))
			Expect(img.Image.MediaType()).To(Equal(manifest))
			Expect(m.Config.MediaType).To(Equal(map[types.MediaType]types.MediaType{types.DockerManifestSchema2: types.DockerConfigJSON, types.OCIManifestSchema1: types.OCIConfigJSON}[manifest]))
			var have []types.MediaType
			for _, l := range m.Layers {
				have = append(have, l.MediaType)
			}
			Expect(have).To(Equal(layers))
		}
	},
		Entry("Docker's for gzip", baseImage{}, layer.Gzip, mediatype.Family(""), types.DockerManifestSchema2, types.DockerLayer, types.DockerLayer, types.DockerLayer, types.DockerLayer),
		Entry("OCI's on an OCI base", baseImage{oci: true}, layer.Gzip, mediatype.Family(""), types.OCIManifestSchema1, types.OCILayer, types.OCILayer, types.OCILayer, types.OCILayer),
		Entry("OCI's for zstd", baseImage{}, layer.Zstd, mediatype.Family(""), types.OCIManifestSchema1, types.OCILayer, types.OCILayerZStd, types.OCILayerZStd, types.OCILayerZStd),
		Entry("OCI's for zstd on an OCI base", baseImage{oci: true}, layer.Zstd, mediatype.Family(""), types.OCIManifestSchema1, types.OCILayer, types.OCILayerZStd, types.OCILayerZStd, types.OCILayerZStd),
		Entry("OCI's where a layer of the base is in zstd", baseImage{zstd: true}, layer.Gzip, mediatype.Family(""), types.OCIManifestSchema1, types.OCILayer, types.OCILayerZStd, types.OCILayer, types.OCILayer, types.OCILayer),
		Entry("OCI's where they are wanted", baseImage{}, layer.Gzip, mediatype.OCI, types.OCIManifestSchema1, types.OCILayer, types.OCILayer, types.OCILayer, types.OCILayer),
		Entry("Docker's where they are wanted", baseImage{oci: true}, layer.Gzip, mediatype.Docker, types.DockerManifestSchema2, types.DockerLayer, types.DockerLayer, types.DockerLayer, types.DockerLayer),
	)

	DescribeTable("are never Docker's for zstd", func(base baseImage, c layer.Compression, message string) {
		b := newBench()
		b.Component("acme/a@1")
		b.keepImage("base", base.image())
		err := b.fails(b.toml(buildpacks("acme_a@1"), order("acme/a@1")), func(o *builder.Options) { o.Compression, o.MediaTypes = c, mediatype.Docker })
		Expect(b.message(err)).To(Equal(message))
	},
		Entry("of our own", baseImage{}, layer.Zstd, "unsupported media types docker: layers compressed with zstd have OCI media types only"),
		Entry("of the build image", baseImage{zstd: true}, layer.Gzip, "build image oci:base: unsupported media types docker: layers compressed with zstd have OCI media types only"),
	)
})
