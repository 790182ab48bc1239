package inspect_test

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures/workbench"
	"laminate/flatten"
	"laminate/packager"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/image"
	"laminate/packager/inspect"
	"laminate/packager/source"
)

// packed packages the composite x/root@1 of components.
func packed(mode flatten.Mode, components ...workbench.Module) v1.Image {
	GinkgoHelper()
	b := workbench.New()
	var dirs, order []string
	for _, c := range components {
		dirs, order = append(dirs, b.Add(c)), append(order, c.Ref)
	}
	b.Write("package.toml", workbench.PackageTOML(b.Composite("x/root@1", order...), dirs...))
	c, err := config.ReadPackage(b.At("package.toml"))
	Expect(err).NotTo(HaveOccurred())
	work := GinkgoT().TempDir()
	jobs, err := packager.Prepare(context.Background(), &source.Opener{WorkDir: work}, packager.Options{Config: c, Options: engine.Options{WorkDir: work, Grouping: flatten.Grouping{Mode: mode}}})
	Expect(err).NotTo(HaveOccurred())
	img, err := jobs[0].Build(context.Background())
	Expect(err).NotTo(HaveOccurred())
	return img.Image
}

var _ = Describe("reading layers", func() {
	ctx := context.Background()

	It("finds the sizes that laminate's label has, and those that it lacks", func() {
		random := rand.New(rand.NewSource(GinkgoRandomSeed()))
		for range 10 {
			var modules []workbench.Module
			for i := range 2 + random.Intn(4) {
				m := workbench.Module{Ref: fmt.Sprintf("x/%s@%d", strings.Repeat("a", 1+random.Intn(150)), i), Files: map[string]string{"f": strings.Repeat("x", random.Intn(5000))}}
				if random.Intn(3) == 0 && i > 0 {
					m.Ref = fmt.Sprintf("%s@%d", strings.Split(modules[i-1].Ref, "@")[0], i) // shares its directory
				}
				modules = append(modules, m)
			}
			mode := []flatten.Mode{flatten.None, flatten.Composites, flatten.All}[random.Intn(3)]
			img, err := viewOf(packed(mode, modules...), &workbench.Log{})
			Expect(err).NotTo(HaveOccurred())
			labelled, read := report(img), report(img)
			Expect(read.Read(ctx, []*image.Image{img})).To(Succeed())
			expectValid(read)
			before, after := labelled.Images[0], read.Images[0]
			Expect(after.Problems).To(BeEmpty())
			for i, m := range before.Modules {
				Expect(m.Bytes).To(Equal(after.Modules[i].Bytes), m.Ref)
			}
			for i, l := range before.Layers {
				var refs []flatten.Ref
				for _, text := range l.Refs {
					r, err := flatten.ParseRef(text)
					Expect(err).NotTo(HaveOccurred())
					refs = append(refs, r)
				}
				if flatten.ShareIDDir(refs) {
					Expect(l.Bytes).To(BeNil())
				} else {
					Expect(l.Bytes).To(Equal(after.Layers[i].Bytes))
				}
				tar, err := img.Contents()[i].Uncompressed()
				Expect(err).NotTo(HaveOccurred())
				n, err := slurp(tar)
				Expect(err).NotTo(HaveOccurred())
				Expect(after.Layers[i].Bytes).To(HaveValue(Equal(n)))
			}
		}
	})

	It("finds the metadata in descriptors", func() {
		img, err := viewOf(packed(flatten.All,
			workbench.Module{Ref: "x/a@1", TOML: "\n[[metadata.dependencies]]\nid = \"d\"\nversion = \"1.2\"\nstacks = [\"s\"]\n[metadata.default-versions]\nd = \"1.*\"\n"},
			workbench.Module{Ref: "x/b@1"}), &workbench.Log{})
		Expect(err).NotTo(HaveOccurred())
		r := report(img)
		Expect(r.Images[0].Modules[1].Dependencies).To(BeNil())
		Expect(r.Read(ctx, []*image.Image{img})).To(Succeed())
		expectValid(r)
		of := r.Images[0].Modules
		Expect(of[1].Dependencies).To(Equal([]inspect.Dependency{{ID: "d", Version: "1.2", Stacks: []string{"s"}, Licenses: []string{}}}))
		Expect(of[1].DefaultVersions).To(Equal(map[string]string{"d": "1.*"}))
		for _, m := range []inspect.Module{of[0], of[2]} {
			Expect(m.Dependencies).To(Equal([]inspect.Dependency{}))
			Expect(m.DefaultVersions).To(Equal(map[string]string{}))
		}
	})

	It("reads layers that images share once", func() {
		raw := packed(flatten.None, workbench.Module{Ref: "x/a@1"}, workbench.Module{Ref: "x/b@1"})
		log := &workbench.Log{}
		var images []*image.Image
		for range 2 {
			img, err := viewOf(raw, log)
			Expect(err).NotTo(HaveOccurred())
			images = append(images, img)
		}
		r := report(images...)
		Expect(r.Read(ctx, images)).To(Succeed())
		Expect(log.Tasks).To(HaveLen(3))
		Expect(r.Images[0].Layers).To(Equal(r.Images[1].Layers))
	})

	It("fails for a layer that is damaged", func() {
		for range 10 { // in any order
			img, err := made{layers: layersOf(2), change: func(c *v1.ConfigFile) { c.RootFS.DiffIDs[1] = c.RootFS.DiffIDs[0] }}.view(&workbench.Log{})
			Expect(err).NotTo(HaveOccurred())
			Expect(report(img).Read(ctx, []*image.Image{img})).To(MatchError(MatchRegexp(`^it: layer sha256:[0-9a-f]{64}: diffID is .*, config says sha256:`)))
		}
	})

	It("fails for what is no tar, and names the layer", func() {
		img, err := made{layers: [][]byte{[]byte(strings.Repeat("x", 1024))}}.view(&workbench.Log{})
		Expect(err).NotTo(HaveOccurred())
		Expect(report(img).Read(ctx, []*image.Image{img})).To(MatchError(MatchRegexp(`^it: layer sha256:[0-9a-f]{64}: reading the layer's tar: `)))
	})

	DescribeTable("has problems for descriptors that are not there", func(want string, entries ...workbench.TarEntry) {
		img, err := made{layers: [][]byte{workbench.TarOf(entries...)}, labels: map[string]string{flatten.BuildpackLayersLabel: `{"x/a":{"1":{"api":"0.10","layerDiffID":"LAYER1"}}}`}}.view(&workbench.Log{})
		Expect(err).NotTo(HaveOccurred())
		r := report(img)
		Expect(r.Read(ctx, []*image.Image{img})).To(Succeed())
		expectValid(r)
		Expect(r.Images[0].Problems).To(HaveExactElements(HavePrefix(want)))
		Expect(r.Images[0].Modules[0].Dependencies).To(BeEmpty())
	},
		Entry("none", "buildpack.toml of x/a@1 is not in its layer"),
		Entry("another's", "buildpack.toml of x/a@1 is not in its layer", file("/cnb/buildpacks/x_a/2/buildpack.toml", "")),
		Entry("a directory", "buildpack.toml of x/a@1 is a directory", workbench.TarEntry{Header: tar.Header{Typeflag: tar.TypeDir, Name: "/cnb/buildpacks/x_a/1/buildpack.toml"}}),
		Entry("a link", "buildpack.toml of x/a@1 is a link to /etc/passwd", workbench.TarEntry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: "/cnb/buildpacks/x_a/1/buildpack.toml", Linkname: "/etc/passwd"}}),
		Entry("no TOML", "x/a@1/buildpack.toml:1", file("/cnb/buildpacks/x_a/1/buildpack.toml", "[metadata")),
	)
})

func file(name, content string) workbench.TarEntry {
	return workbench.TarEntry{Header: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, Body: content}
}

// slurp reads to the end, and returns how much that was.
func slurp(rc io.ReadCloser) (int64, error) {
	n, err := io.Copy(io.Discard, rc)
	return n, errors.Join(err, rc.Close())
}
