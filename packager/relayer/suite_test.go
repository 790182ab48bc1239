package relayer_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder"
	"laminate/fixtures"
	"laminate/fixtures/workbench"
	"laminate/flatten"
	"laminate/packager"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/location"
	"laminate/packager/relayer"
	"laminate/packager/source"
)

func TestRelayer(t *testing.T) {
	RegisterFailHandler(Fail)
	Expect(fixtures.TempInMemory()).To(Succeed())
	RunSpecs(t, "packager/relayer")
}

// bench makes buildpackages and builders, and lays them out anew.
type bench struct{ *workbench.Bench }

// newBench returns a bench with two composites that share a component, a component, and what a
// builder needs.
func newBench() *bench {
	GinkgoHelper()
	b := &bench{workbench.New()}
	base, err := fixtures.BaseImage("")
	Expect(err).NotTo(HaveOccurred())
	b.Keep(base, "oci:base")
	b.Write("lifecycle.tgz", workbench.LifecycleArchive())
	for _, ref := range []string{"acme/a@1", "acme/b@1", "acme/b@2", "acme/shared@1", "acme/alone@1"} {
		b.Component(ref)
	}
	b.Composite("acme/left@1", "acme/a@1", "acme/shared@1")
	b.Composite("acme/right@1", "acme/b@1", "acme/b@2", "acme/shared@1?")
	b.Composite("acme/root@1", "acme/left@1", "acme/alone@1", "acme/right@1")
	b.Extension("acme/ext@1")
	return b
}

var parts = []string{"acme_left@1", "acme_right@1", "acme_a@1", "acme_b@1", "acme_b@2", "acme_shared@1", "acme_alone@1"}

// below are the parts that a composite needs.
var below = map[string][]string{"acme_left@1": {"acme_a@1", "acme_shared@1"}, "acme_right@1": {"acme_b@1", "acme_b@2", "acme_shared@1"}}

const builderTOML = `
[[order]]
[[order.group]]
id = "acme/left"
[[order.group]]
id = "acme/alone"
[[order]]
[[order.group]]
id = "acme/right"
[run]
images = [{image = "acme/run"}]
[lifecycle]
uri = "lifecycle.tgz"
`

// layout says which buildpacks share a layer.
type layout func(*engine.Options)

func mode(m flatten.Mode) layout { return func(o *engine.Options) { o.Grouping.Mode = m } }

func groups(m flatten.Mode, group ...string) layout {
	return func(o *engine.Options) { o.Grouping = flatten.Grouping{Mode: m, Groups: [][]string{group}} }
}

// builder creates a builder of the parts, with an extension, over the build image.
func (b *bench) builder(l layout, sections ...string) v1.Image {
	GinkgoHelper()
	toml := strings.Join(sections, "\n") + builderTOML
	if !strings.Contains(toml, "[build]") {
		toml += "[build]\nimage = \"oci:base\"\n"
	}
	for _, p := range b.sources() {
		toml += "[[buildpacks]]\nuri = \"" + p + "\"\n"
	}
	b.Write("builder.toml", toml+"[[extensions]]\nuri = \"acme_ext@1\"\n")
	c, problems, err := config.ReadBuilder(b.At("builder.toml"))
	Expect(err).NotTo(HaveOccurred())
	Expect(problems.Err()).NotTo(HaveOccurred())
	o := builder.Options{Config: c, Version: "1.2.3", SkipRunImages: true, Options: engine.Options{WorkDir: GinkgoT().TempDir()}}
	l(&o.Options)
	jobs, err := builder.Prepare(context.Background(), &source.Opener{WorkDir: o.WorkDir}, o)
	Expect(err).NotTo(HaveOccurred())
	img, err := jobs[0].Build(context.Background())
	Expect(err).NotTo(HaveOccurred())
	return img.Image
}

// sources packages the composites, and returns the sources of a builder.
func (b *bench) sources() []string {
	GinkgoHelper()
	for _, root := range []string{"acme_left@1", "acme_right@1"} {
		b.Keep(b.pack(root, mode(flatten.None)), root+".cnb")
	}
	return []string{"acme_left@1.cnb", "acme_alone@1", "acme_right@1.cnb"}
}

// buildpackage packages the root.
func (b *bench) buildpackage(l layout) v1.Image {
	GinkgoHelper()
	return b.pack("acme_root@1", l)
}

func (b *bench) pack(root string, l layout) v1.Image {
	GinkgoHelper()
	b.Write("package.toml", workbench.PackageTOML(root, slices.DeleteFunc(slices.Clone(parts), func(p string) bool { return p == root || root != "acme_root@1" && !slices.Contains(below[root], p) })...))
	c, err := config.ReadPackage(b.At("package.toml"))
	Expect(err).NotTo(HaveOccurred())
	o := packager.Options{Config: c, Options: engine.Options{WorkDir: GinkgoT().TempDir()}}
	l(&o.Options)
	jobs, err := packager.Prepare(context.Background(), &source.Opener{WorkDir: o.WorkDir}, o)
	Expect(err).NotTo(HaveOccurred())
	img, err := jobs[0].Build(context.Background())
	Expect(err).NotTo(HaveOccurred())
	return img.Image
}

// prepare plans the image at a location anew.
func (b *bench) prepare(from string, l layout) ([]*relayer.Job, error) {
	GinkgoHelper()
	loc, err := location.ParseSource(from, b.Dir)
	Expect(err).NotTo(HaveOccurred())
	o := relayer.Options{Options: engine.Options{WorkDir: GinkgoT().TempDir(), Log: &b.Log}}
	l(&o.Options)
	return relayer.Prepare(context.Background(), &source.Opener{WorkDir: o.WorkDir, Log: &b.Log}, loc, o)
}

// relayer lays out the only image at a location anew.
func (b *bench) relayer(from string, l layout) v1.Image {
	GinkgoHelper()
	jobs, err := b.prepare(from, l)
	Expect(err).NotTo(HaveOccurred())
	Expect(jobs).To(HaveLen(1))
	img, err := jobs[0].Build(context.Background())
	Expect(err).NotTo(HaveOccurred())
	Expect(workbench.ReadThrough(img.Image)).To(Succeed())
	return img.Image
}

// prepareAndBuild is relayer without reading the result.
func (b *bench) prepareAndBuild(from string, l layout) v1.Image {
	GinkgoHelper()
	jobs, err := b.prepare(from, l)
	Expect(err).NotTo(HaveOccurred())
	img, err := jobs[0].Build(context.Background())
	Expect(err).NotTo(HaveOccurred())
	return img.Image
}

// besides returns the config of an image without what says how its buildpacks are laid out, and the
// digests of the layers without buildpacks.
func besides(img v1.Image) (*v1.ConfigFile, []string) {
	GinkgoHelper()
	c := workbench.ConfigOf(img).DeepCopy()
	label := workbench.LayersLabelOf(img, flatten.Buildpack)
	held := map[string]bool{}
	for _, r := range label.Refs() {
		held[label[r.ID][r.Version].LayerDiffID] = true
	}
	var digests []string
	for i, d := range workbench.BlobsOf(img) {
		if !held[c.RootFS.DiffIDs[i].String()] {
			digests = append(digests, d)
		}
	}
	for _, key := range []string{flatten.BuildpackLayersLabel, flatten.RecipesLabelKey} {
		delete(c.Config.Labels, key)
	}
	c.RootFS.DiffIDs, c.History = nil, nil
	return c, digests
}

// laidOut returns the digest of each layer, sorted, and the label that names them.
func laidOut(img v1.Image) (digests []string, label flatten.LayersLabel) {
	GinkgoHelper()
	return slices.Sorted(slices.Values(workbench.BlobsOf(img))), workbench.LayersLabelOf(img, flatten.Buildpack)
}

func diffIDs(img v1.Image) []v1.Hash { return workbench.ConfigOf(img).RootFS.DiffIDs }
