package inspect_test

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
	"laminate/flatten"
	"laminate/packager/inspect"
)

// refsOf returns the refs of the modules, in order.
func refsOf(img inspect.Image) (refs []string) {
	for _, m := range img.Modules {
		refs = append(refs, m.Ref)
	}
	return refs
}

func partsOf(img inspect.Image) (parts []string) {
	for _, l := range img.Layers {
		parts = append(parts, strings.TrimSuffix(l.Part+": "+l.Holds, ": "))
	}
	return parts
}

// theTwo are a composite and what is in its order, in layer 3.
const theTwo = `{"x/c":{"1":{"api":"0.10","layerDiffID":"LAYER3","order":[{"group":[{"id":"x/b","version":"2","optional":true},{"id":"x/a"}]}]}},
"x/a":{"1":{"api":"0.9","layerDiffID":"LAYER3","name":"A","stacks":[{"id":"s"}],"targets":[{"os":"linux","arch":"amd64"}]}},
"x/b":{"2":{"api":"0.10","layerDiffID":"LAYER4","homepage":"h"}},
"x/other":{"1":{"api":"0.10","layerDiffID":"LAYER4"}}}`

var _ = Describe("a builder", func() {
	builder := func() made {
		return made{
			layers: layersOf(7),
			labels: map[string]string{
				flatten.BuilderMetadataLabel: `{"description":"d","createdBy":{"name":"Pack CLI","version":"1"},"lifecycle":{"version":"0.20.0",
					"api":{"buildpack":"0.2","platform":"0.3"},"apis":{"buildpack":{"deprecated":["0.2"],"supported":["0.9","0.10"]},"platform":{"deprecated":null,"supported":["0.13"]}}},
					"images":[{"image":"run","mirrors":["m/run"]}],"stack":{"runImage":{"image":"old"}}}`,
				flatten.OrderLabel:           `[{"group":[{"id":"x/c","version":"1"}]},{"group":[{"id":"x/b"}]}]`,
				flatten.BuildpackLayersLabel: theTwo, flatten.ExtensionLayersLabel: "{}",
				flatten.StackIDLabel: "s", flatten.DistroNameLabel: "ubuntu", flatten.DistroVersionLabel: "24.04",
			},
		}
	}

	It("has what its labels say", func() {
		img := describe(builder())
		Expect(img.Problems).To(BeEmpty())
		Expect(img.Kind).To(Equal("builder"))
		Expect(img.Target).To(Equal("linux/amd64:ubuntu@24.04"))
		Expect(img.Stack).To(Equal("s"))
		Expect(img.CreatedBy).To(Equal(&inspect.Tool{Name: "Pack CLI", Version: "1"}))
		Expect(img.Builder).To(Equal(&inspect.Builder{
			Description: "d", RunImages: []inspect.RunImage{{Image: "run", Mirrors: []string{"m/run"}}},
			Lifecycle: inspect.Lifecycle{
				Version: "0.20.0", BuildpackAPI: inspect.APIs{Deprecated: []string{"0.2"}, Supported: []string{"0.9", "0.10"}},
				PlatformAPI: inspect.APIs{Deprecated: []string{}, Supported: []string{"0.13"}},
			},
			System: inspect.System{Pre: []inspect.Entry{}, Post: []inspect.Entry{}},
		}))
		Expect(img.Order).To(Equal([]inspect.Group{
			{Entries: []inspect.Entry{{ID: "x/c", Version: "1", Ref: "x/c@1"}}}, {Entries: []inspect.Entry{{ID: "x/b", Ref: "x/b@2"}}},
		}))
		Expect(img.Limits).To(Equal(inspect.Limits{Layers: 7, Engine: 125, Build: 6, Headroom: 112}))
	})

	It("has each module once, as the orders reach them, and then the others", func() {
		img := describe(builder())
		Expect(refsOf(img)).To(Equal([]string{"x/c@1", "x/b@2", "x/a@1", "x/other@1"}))
		Expect(img.Modules[0].Order).To(Equal([]inspect.Group{{Entries: []inspect.Entry{
			{ID: "x/b", Version: "2", Optional: true, Ref: "x/b@2"}, {ID: "x/a", Ref: "x/a@1"},
		}}}))
		Expect(img.Modules[2]).To(Equal(inspect.Module{
			Ref: "x/a@1", Kind: "buildpack", ID: "x/a", Version: "1", Name: "A", API: "0.9", Stacks: []string{"s"}, Targets: []string{"linux/amd64"},
			Order: []inspect.Group{}, Layer: 3,
		}))
	})

	It("has layers for known purposes if pack made it", func() {
		Expect(partsOf(describe(builder()))).To(Equal([]string{
			"configuration: directories", "lifecycle: lifecycle 0.20.0", "buildpacks", "buildpacks", "configuration", "configuration", "configuration",
		}))
		m := builder()
		m.labels[flatten.BuildpackLayersLabel] = strings.NewReplacer("LAYER3", "LAYER4", "LAYER4", "LAYER5").Replace(theTwo)
		Expect(partsOf(describe(m))[:4]).To(Equal([]string{"build image", "configuration: directories", "lifecycle: lifecycle 0.20.0", "buildpacks"}))
		m.labels[flatten.BuildpackLayersLabel] = "{}"
		Expect(partsOf(describe(m))).To(HaveEach("build image"))
	})

	It("has layers for the purposes in the history that laminate writes", func() {
		m := builder()
		m.labels[flatten.BuilderMetadataLabel] = `{"createdBy":{"name":"laminate","version":"1"}}`
		m.history = []string{"RUN x", "laminate: lifecycle 0.20.0", "laminate: x/a@1", "", "", "laminate: whiteouts of /x", "laminate: configuration"}
		Expect(partsOf(describe(m))).To(Equal([]string{
			"build image: RUN x", "lifecycle: lifecycle 0.20.0", "buildpacks", "buildpacks", "build image", "configuration: whiteouts of /x", "configuration: configuration",
		}))
	})

	It("has one layer less for builds if it has system buildpacks", func() {
		m := builder()
		m.labels[flatten.SystemLabel] = `{"pre":{"buildpacks":[{"id":"x/other"}]},"post":{"buildpacks":[{"id":"x/b","version":"2"}]}}`
		img := describe(m)
		Expect(img.Limits.Build).To(Equal(7))
		Expect(img.Builder.System.Pre[0].Ref).To(Equal("x/other@1"))
		Expect(img.Builder.System.Post[0].Ref).To(Equal("x/b@2"))
	})

	It("has the lowest versions of APIs, and the run image, of older labels", func() {
		m := builder()
		m.labels[flatten.BuilderMetadataLabel] = `{"lifecycle":{"api":{"buildpack":"0.2","platform":"0.3"}},"stack":{"runImage":{"image":"old"}}}`
		b := describe(m).Builder
		Expect(b.Lifecycle.PlatformAPI.Supported).To(Equal([]string{"0.3"}))
		Expect(b.RunImages).To(Equal([]inspect.RunImage{{Image: "old", Mirrors: []string{}}}))
	})

	DescribeTable("has problems for labels that are wrong, and all else", func(key, value, want string) {
		m := builder()
		m.labels[key] = value
		img := describe(m)
		Expect(strings.Join(img.Problems, "\n")).To(HavePrefix(want))
		Expect(img.Layers).To(HaveLen(7))
	},
		Entry("no JSON", flatten.BuilderMetadataLabel, `{`, "label io.buildpacks.builder.metadata: unexpected end of JSON input"),
		Entry("another type", flatten.OrderLabel, `3`, "label io.buildpacks.buildpack.order: json: "),
		Entry("a module in no layer", flatten.BuildpackLayersLabel, strings.Replace(theTwo, "LAYER3", "sha256:"+strings.Repeat("0", 64), 1), "label says that x/c@1 is in layer sha256:000"),
		Entry("a missing module", flatten.OrderLabel, `[{"group":[{"id":"x/d","version":"1"}]}]`, "the order names x/d@1, which is not in the image"),
		Entry("another version", flatten.OrderExtensionsLabel, `[{"group":[{"id":"x/c","version":"1"}]}]`, "the order of extensions names x/c@1, which is not in the image"),
		Entry("in a composite", flatten.BuildpackLayersLabel, strings.Replace(theTwo, `"id":"x/a"`, `"id":"x/z"`, 1), "the order of x/c@1 names x/z, which is not in the image"),
		Entry("an ambiguous entry", flatten.BuildpackLayersLabel, strings.Replace(theTwo, `"x/a":{"1"`, `"x/a":{"2":{"api":"0.10","layerDiffID":"LAYER4"},"1"`, 1), "the order of x/c@1 names x/a without a version, but the image has x/a@1, x/a@2"),
		Entry("a cycle", flatten.BuildpackLayersLabel, strings.Replace(theTwo, `"id":"x/a"`, `"id":"x/c"`, 1), "cycle in order: x/c@1 -> x/c@1"),
	)

	It("lists the first problems", func() {
		m := builder()
		m.labels[flatten.OrderLabel] = `[{"group":[` + strings.Repeat(`{"id":"y","version":"1"},`, 300) + `{"id":"z"}]}]`
		problems := describe(m).Problems
		Expect(problems).To(HaveLen(101))
		Expect(problems[100]).To(Equal("and 201 more"))
	})
})

var _ = Describe("a buildpackage", func() {
	It("has its root, its order, and the targets that all components support", func() {
		img := describe(made{layers: layersOf(4), history: []string{"laminate: a", "", "", ""}, labels: map[string]string{
			flatten.BuildpackageMetadataLabel: `{"id":"x/c","version":"1","name":"C","keywords":["k"],"licenses":[{"Type":"MIT","URI":"u"}],"stacks":[{"id":"*"}]}`,
			flatten.BuildpackLayersLabel: strings.NewReplacer(`"homepage":"h"`, `"targets":[{"os":"linux","arch":"","distros":[{"name":"ubuntu","version":"24.04"},{"name":"debian"}]},{"os":"linux","arch":"arm64"}]`).
				Replace(theTwo),
		}})
		Expect(img.Problems).To(BeEmpty())
		Expect(img.Buildpackage).To(Equal(&inspect.Buildpackage{
			ID: "x/c", Version: "1", Name: "C", Keywords: []string{"k"}, Licenses: []inspect.License{{Type: "MIT", URI: "u"}}, Stacks: []string{"*"},
			Targets: []string{"linux/amd64:ubuntu@24.04", "linux/amd64:debian"},
		}))
		Expect(img.Order).To(Equal(img.Modules[0].Order))
		Expect(refsOf(img)).To(Equal([]string{"x/c@1", "x/b@2", "x/a@1", "x/other@1"}))
		Expect(img.CreatedBy).To(Equal(&inspect.Tool{Name: "laminate"}))
		Expect(img.Limits).To(Equal(inspect.Limits{Layers: 4, Engine: 125, Headroom: 121}))
	})

	It("has no target in common if components are for different versions of a distribution", func() {
		img := describe(made{layers: layersOf(1), labels: map[string]string{
			flatten.BuildpackageMetadataLabel: `{"id":"x/a","version":"1"}`,
			flatten.BuildpackLayersLabel: `{"x/a":{"1":{"api":"0.10","layerDiffID":"LAYER1","targets":[{"os":"linux","arch":"amd64","distros":[{"name":"ubuntu","version":"22.04"}]}]},
				"2":{"api":"0.10","layerDiffID":"LAYER1","targets":[{"os":"linux","arch":"amd64","distros":[{"name":"ubuntu","version":"24.04"}]}]}}}`,
		}})
		Expect(img.Buildpackage.Targets).To(BeEmpty())
	})

	It("has no size of a layer of which laminate's label lists other modules than the layers label", func() {
		id := make([]byte, 32)
		facts := flatten.RecipesLabel{}
		m := made{layers: layersOf(1), labels: map[string]string{flatten.BuildpackLayersLabel: `{"x/a":{"1":{"api":"0.10","layerDiffID":"LAYER1"}},"x/b":{"1":{"api":"0.10","layerDiffID":"LAYER1"}}}`}}
		raw, err := m.raw()
		Expect(err).NotTo(HaveOccurred())
		config, err := raw.ConfigFile()
		Expect(err).NotTo(HaveOccurred())
		facts.Add(config.RootFS.DiffIDs[0], []flatten.Facts{{Ref: flatten.Ref{ID: "x/a", Version: "1"}, ContentID: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(id)}, Length: 512}})
		label, err := json.Marshal(facts)
		Expect(err).NotTo(HaveOccurred())
		m.labels[flatten.RecipesLabelKey] = string(label)
		img := describe(m)
		Expect(img.Modules[0].Bytes).To(HaveValue(BeEquivalentTo(512)))
		Expect(img.Layers[0].Bytes).To(BeNil())
		m.labels[flatten.BuildpackLayersLabel] = `{"x/a":{"1":{"api":"0.10","layerDiffID":"LAYER1"}}}`
		Expect(describe(m).Layers[0].Bytes).To(HaveValue(BeEquivalentTo(512 + 1024)))
	})

	DescribeTable("has problems for a root that is wrong", func(metadata, want string) {
		img := describe(made{layers: layersOf(4), labels: map[string]string{flatten.BuildpackageMetadataLabel: metadata, flatten.BuildpackLayersLabel: theTwo}})
		Expect(strings.Join(img.Problems, "\n")).To(HavePrefix(want))
		Expect(img.Modules).To(HaveLen(4))
	},
		Entry("no JSON", "[", "label io.buildpacks.buildpackage.metadata: unexpected end"),
		Entry("no version", `{"id":"x/c"}`, "label io.buildpacks.buildpackage.metadata: version is missing"),
		Entry("another", `{"id":"x/c","version":"2"}`, "label io.buildpacks.buildpackage.metadata names x/c@2, which label io.buildpacks.buildpack.layers lacks"),
	)
})

// appImage is an application's image as the lifecycle 0.21.0 made it, with other layers.
func appImage() made {
	GinkgoHelper()
	labels, history, err := fixtures.AppLabels()
	Expect(err).NotTo(HaveOccurred())
	return made{layers: layersOf(len(history)), history: history, labels: labels}
}

var _ = Describe("an app image", func() {
	It("has what the lifecycle wrote", func() {
		img := describe(appImage())
		Expect(img.Kind).To(Equal("app image"))
		Expect(img.Problems).To(BeEmpty())
		Expect(img.App.Launcher).To(Equal("0.21.0"))
		Expect(img.App.Buildpacks).To(Equal([]inspect.AppBuildpack{
			{Ref: "samples/hello-world@0.0.1", Kind: "buildpack", Homepage: "https://example.com/samples/hello-world"},
			{Ref: "samples/hello-moon@0.0.1", Kind: "buildpack", Homepage: "https://example.com/samples/hello-moon"},
			{Ref: "acme/probe@1.0.0", Kind: "buildpack"},
		}))
		Expect(img.App.Processes).To(HaveExactElements(
			HaveField("Default", true),
			inspect.Process{Type: "told", Command: []string{"sh", "-c"}, Args: []string{"echo $TOLD"}, Direct: true, Buildpack: "acme/probe"},
		))
		Expect(img.App.RunImage).To(Equal(inspect.AppRunImage{
			Image: "acme/run:1", Mirrors: []string{}, TopLayer: img.Layers[0].DiffID, Reference: "7ce33ddbe9d7a8a8b7b764d84069b3f8deed381ea8dc4a3f961e905801a9c958",
		}))
		Expect(partsOf(img)).To(Equal([]string{
			"run image: root file system", "build: hello", "build: moon", "build: told", "sbom: software bill of materials",
			"application: application", "launcher: launcher", "launcher: launcher configuration", "launcher: process types",
		}))
		Expect(img.Layers[3].Refs).To(Equal([]string{"acme/probe@1.0.0"}))
		Expect(img.Limits).To(Equal(inspect.Limits{Layers: 9, Engine: 125, Headroom: 116}))
	})

	It("starts the process that its entrypoint names", func() {
		m := appImage()
		m.change = func(c *v1.ConfigFile) { c.Config.Entrypoint = []string{"/cnb/process/told"} }
		img := describe(m)
		Expect(img.App.Processes[0].Default).To(BeFalse())
		Expect(img.App.Processes[1].Default).To(BeTrue())
	})

	It("reads what older lifecycles wrote", func() {
		m := appImage()
		m.labels[flatten.AppLayersLabel] = `{"app":[],"config":{"sha":""},"launcher":{"sha":"LAYER2"},"buildpacks":null,"runImage":{"topLayer":"LAYER1","reference":"r"},"stack":{"runImage":{"image":"old","mirrors":["m"]}}}`
		m.labels[flatten.BuildMetadataLabel] = `{"bom":null,"processes":[{"type":"web","command":"java -jar","args":null,"direct":false,"buildpackID":"b"}]}`
		img := describe(m)
		Expect(img.App.RunImage.Image).To(Equal("old"))
		Expect(img.App.RunImage.Mirrors).To(Equal([]string{"m"}))
		Expect(img.App.Processes[0].Command).To(Equal([]string{"java -jar"}))
		Expect(partsOf(img)[1:3]).To(Equal([]string{"launcher: launcher", "other: Layer: 'moon', Created by buildpack: samples/hello-moon@0.0.1"}))
	})

	It("tells layers apart that are equal", func() {
		m := appImage()
		m.layers[2] = m.layers[1]
		img := describe(m)
		Expect(partsOf(img)[1:3]).To(Equal([]string{"build: hello", "build: moon"}))
		Expect(img.Layers[2].Refs).To(Equal([]string{"samples/hello-moon@0.0.1"}))
	})

	It("has problems for labels that are wrong", func() {
		m := appImage()
		m.labels[flatten.BuildMetadataLabel], m.labels[flatten.AppLayersLabel] = `{"processes":[{"command":3}]}`, "x"
		img := describe(m)
		Expect(img.Problems).To(HaveExactElements(
			HavePrefix("label io.buildpacks.lifecycle.metadata: invalid character"), HavePrefix("label io.buildpacks.build.metadata: "),
		))
	})
})

var _ = DescribeTable("the creation time is left out if it stands for none", func(t string, shown bool) {
	created, err := time.Parse(time.RFC3339, t)
	Expect(err).NotTo(HaveOccurred())
	img := describe(made{change: func(c *v1.ConfigFile) { c.Created = v1.Time{Time: created} }})
	Expect(img.Created != nil).To(Equal(shown))
	Expect(img.Kind).To(Equal("image"))
},
	Entry("a time", "2026-01-02T03:04:05+01:00", true),
	Entry("pack's", "1980-01-01T00:00:01Z", false),
	Entry("Unix's", "1970-01-01T00:00:00Z", false),
	Entry("Go's", "0001-01-01T00:00:00Z", false),
	Entry("what has no JSON", "9999-12-31T23:59:59-05:00", false),
)
