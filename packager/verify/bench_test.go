package verify_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder"
	"laminate/fixtures/workbench"
	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/location"
	"laminate/packager/source"
	"laminate/packager/verify"
)

// A bench is a directory in which a spec makes images, and damages them.
type bench struct{ *workbench.Bench }

type entry = workbench.TarEntry

// newBench has the buildpacks acme/a@1, acme/b@1 and acme/b@2, and the composite acme/root@1 of
// acme/a and acme/b@1.
func newBench() *bench {
	GinkgoHelper()
	b := &bench{workbench.New()}
	b.Add(workbench.Module{Ref: "acme/a@1", Files: map[string]string{"lib/data": strings.Repeat("a", 3000)},
		TOML: "name = \"A\"\nhomepage = \"https://example.com/a\"\n[[targets]]\nos = \"linux\"\narch = \"amd64\"\n[[targets.distros]]\nname = \"ubuntu\"\nversion = \"24.04\"\n[[stacks]]\nid = \"any\"\nmixins = [\"x\"]\n"})
	b.Component("acme/b@1")
	b.Component("acme/b@2")
	b.Composite("acme/root@1", "acme/a@1", "acme/b@1?")
	return b
}

// pack makes a buildpackage of what is on the bench, in the OCI layout dest.
func (b *bench) pack(dest string, o engine.Options, root string, dependencies ...string) string {
	GinkgoHelper()
	b.Write("package.toml", workbench.PackageTOML(root, dependencies...))
	c, err := config.ReadPackage(b.At("package.toml"))
	Expect(err).NotTo(HaveOccurred())
	o.WorkDir, o.Log = GinkgoT().TempDir(), &b.Log
	jobs, err := packager.Prepare(context.Background(), b.opener(o.WorkDir), packager.Options{Config: c, Options: o})
	Expect(err).NotTo(HaveOccurred())
	img, err := jobs[0].Build(context.Background())
	Expect(err).NotTo(HaveOccurred())
	return b.Keep(img.Image, "oci:"+dest)
}

// package of the composite, with this mode.
func (b *bench) root(dest string, mode flatten.Mode) string {
	GinkgoHelper()
	return b.once(dest, "root "+string(mode), func() {
		b.pack(dest, engine.Options{Grouping: flatten.Grouping{Mode: mode}}, "acme_root@1", "acme_a@1", "acme_b@1")
	})
}

// made are layouts that several specs begin with, by name.
var made = map[string]string{}

var _ = AfterSuite(func() {
	for _, dir := range made {
		Expect(os.RemoveAll(dir)).To(Succeed())
	}
})

// once makes the layout dest, which is the same in every spec, or copies it if one has made it.
func (b *bench) once(dest, key string, create func()) string {
	GinkgoHelper()
	if made[key] == "" {
		create()
		kept, err := os.MkdirTemp("", "verify")
		Expect(err).NotTo(HaveOccurred())
		Expect(os.CopyFS(kept, os.DirFS(b.At(dest)))).To(Succeed())
		made[key] = kept
		return "oci:" + dest
	}
	Expect(os.CopyFS(b.At(dest), os.DirFS(made[key]))).To(Succeed())
	return "oci:" + dest
}

func (b *bench) opener(work string) *source.Opener { return &source.Opener{WorkDir: work, Log: &b.Log} }

// build makes a builder, in the OCI layout dest, with a base and a lifecycle that are on the bench
// unless the sections name others.
func (b *bench) build(dest string, change func(*builder.Options), sections ...string) string {
	GinkgoHelper()
	text := strings.Join(sections, "\n")
	if !strings.Contains(text, "[build]") {
		b.keep("base", base())
		text += "\n[build]\nimage = \"oci:base\"\n"
	}
	b.keep("run", base())
	if !strings.Contains(text, "[lifecycle]") {
		b.lifecycle("0.13", "0.15")
		text += "\n[lifecycle]\nuri = \"lifecycle.tgz\"\n"
	}
	b.Write("builder.toml", text+"\n[[run.images]]\nimage = \"oci:run\"\n")
	c, problems, err := config.ReadBuilder(b.At("builder.toml"))
	Expect(err).NotTo(HaveOccurred())
	Expect(problems.Err()).NotTo(HaveOccurred())
	work := GinkgoT().TempDir()
	o := builder.Options{Config: c, Version: "1.2.3", Options: engine.Options{WorkDir: work, Log: &b.Log}}
	if change != nil {
		change(&o)
	}
	jobs, err := builder.Prepare(context.Background(), b.opener(work), o)
	Expect(err).NotTo(HaveOccurred())
	img, err := jobs[0].Build(context.Background())
	Expect(err).NotTo(HaveOccurred())
	return b.Keep(img.Image, "oci:"+dest)
}

// base is a build image, whose layer has more than a buildpack may.
func base(more ...v1.Layer) v1.Image {
	GinkgoHelper()
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{Env: []string{"CNB_USER_ID=1", "CNB_GROUP_ID=2"}, Labels: map[string]string{"io.buildpacks.stack.id": "any", "io.buildpacks.stack.mixins": `["x"]`}}})
	Expect(err).NotTo(HaveOccurred())
	layers := append([]v1.Layer{layerOf(directory("etc"), file("etc/passwd", "root"), entry{Header: tar.Header{Name: "dev/null", Typeflag: tar.TypeChar}}, file("tmp/.wh.x", ""))}, more...)
	img, err = mutate.AppendLayers(img, layers...)
	Expect(err).NotTo(HaveOccurred())
	return mutate.ConfigMediaType(mutate.MediaType(img, types.DockerManifestSchema2), types.DockerConfigJSON)
}

func file(name, body string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, ModTime: layer.Epoch}, Body: body}
}

func directory(name string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755, ModTime: layer.Epoch}}
}

func layerOf(entries ...entry) v1.Layer {
	GinkgoHelper()
	content := workbench.TarOf(entries...)
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }, tarball.WithMediaType(types.DockerLayer))
	Expect(err).NotTo(HaveOccurred())
	return l
}

// lifecycle writes lifecycle.tgz, which supports these platform APIs, and the buildpack APIs 0.9
// (deprecated) and 0.10.
func (b *bench) lifecycle(platform ...string) {
	GinkgoHelper()
	supported, _ := json.Marshal(platform)
	entries := []entry{file("lifecycle.toml", fmt.Sprintf("[lifecycle]\nversion = \"0.21.0\"\n[apis.buildpack]\ndeprecated = [\"0.9\"]\nsupported = [\"0.10\"]\n[apis.platform]\ndeprecated = []\nsupported = %s\n", supported))}
	for _, name := range flatten.LifecycleBinaries() {
		entries = append(entries, file("lifecycle/"+name, name))
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write(workbench.TarOf(entries...))
	Expect(err).NotTo(HaveOccurred())
	Expect(w.Close()).To(Succeed())
	b.Write("lifecycle.tgz", packed.String())
}

// keep writes an image into the OCI layout dir, just as it is, or several as an index.
func (b *bench) keep(dir string, images ...v1.Image) string {
	GinkgoHelper()
	Expect(os.RemoveAll(b.At(dir + "-next"))).To(Succeed())
	path, err := layout.Write(b.At(dir+"-next"), empty.Index)
	Expect(err).NotTo(HaveOccurred())
	if len(images) == 1 {
		Expect(path.AppendImage(images[0])).To(Succeed())
	} else {
		index := v1.ImageIndex(empty.Index)
		for _, img := range images {
			index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: workbench.ConfigOf(img).Platform()}})
		}
		Expect(path.AppendIndex(index)).To(Succeed())
	}
	Expect(os.RemoveAll(b.At(dir))).To(Succeed())
	Expect(os.Rename(b.At(dir+"-next"), b.At(dir))).To(Succeed())
	return "oci:" + dir
}

// verified verifies all images of a location on the bench.
func (b *bench) verified(name string) ([]*verify.Report, error) {
	GinkgoHelper()
	loc, err := location.ParseSource(strings.Replace(name, "oci:", "oci:"+b.Dir+"/", 1), "")
	Expect(err).NotTo(HaveOccurred())
	found, err := b.opener(GinkgoT().TempDir()).Platforms(context.Background(), loc, flatten.Target{})
	if err != nil {
		return nil, err
	}
	var reports []*verify.Report
	for _, img := range found.Images {
		r, err := verify.Image(context.Background(), img)
		if err != nil {
			return nil, err
		}
		reports = append(reports, r)
	}
	return reports, nil
}

// report verifies the only image of a location.
func (b *bench) report(name string) *verify.Report {
	GinkgoHelper()
	reports, err := b.verified(name)
	Expect(err).NotTo(HaveOccurred())
	Expect(reports).To(HaveLen(1))
	return reports[0]
}

// findings formats the findings: severity, check, layer, ref, message.
func findings(r *verify.Report) []string {
	lines := []string{}
	for _, f := range r.Findings {
		lines = append(lines, fmt.Sprintf("%s %s %d %s: %s", f.Severity, f.What, f.Layer, f.Ref, f.Message))
	}
	return lines
}

// open reads the only image of a layout, without laminate.
func (b *bench) open(name string) v1.Image {
	GinkgoHelper()
	path, err := layout.FromPath(b.At(strings.TrimPrefix(name, "oci:")))
	Expect(err).NotTo(HaveOccurred())
	index, err := path.ImageIndex()
	Expect(err).NotTo(HaveOccurred())
	m, err := index.IndexManifest()
	Expect(err).NotTo(HaveOccurred())
	img, err := index.Image(m.Manifests[0].Digest)
	Expect(err).NotTo(HaveOccurred())
	return img
}

// reconfigured is a copy of an image with another config.
func (b *bench) reconfigured(name string, change func(*v1.ConfigFile)) string {
	GinkgoHelper()
	img := b.open(name)
	config := workbench.ConfigOf(img).DeepCopy()
	change(config)
	img, err := mutate.ConfigFile(img, config)
	Expect(err).NotTo(HaveOccurred())
	return b.keep("changed", img)
}

// relabelled is a copy of an image in one of whose labels a text is replaced.
func (b *bench) relabelled(name, key, old, new string) string {
	GinkgoHelper()
	return b.reconfigured(name, func(c *v1.ConfigFile) {
		Expect(c.Config.Labels[key]).To(ContainSubstring(old))
		c.Config.Labels[key] = strings.ReplaceAll(c.Config.Labels[key], old, new)
	})
}

// rewritten is a copy of an image with other entries in its layers: change gets those of each layer,
// by its number from 1. Labels name the new layers; laminate's own label is left out.
func (b *bench) rewritten(name string, change func(number int, entries []entry) []entry) string {
	GinkgoHelper()
	old := b.open(name)
	config := workbench.ConfigOf(old).DeepCopy()
	layers, err := old.Layers()
	Expect(err).NotTo(HaveOccurred())
	fresh := config.DeepCopy()
	fresh.RootFS.DiffIDs, fresh.History = nil, nil
	delete(fresh.Config.Labels, flatten.RecipesLabelKey)
	var all []v1.Layer
	for i, l := range layers {
		made := layerOf(change(i+1, workbench.EntriesOf(l))...)
		diffID, err := made.DiffID()
		Expect(err).NotTo(HaveOccurred())
		for key, value := range fresh.Config.Labels {
			fresh.Config.Labels[key] = strings.ReplaceAll(value, config.RootFS.DiffIDs[i].String(), diffID.String())
		}
		all = append(all, made)
	}
	img, err := mutate.ConfigFile(empty.Image, fresh)
	Expect(err).NotTo(HaveOccurred())
	img, err = mutate.AppendLayers(img, all...)
	Expect(err).NotTo(HaveOccurred())
	return b.keep("changed", mutate.ConfigMediaType(mutate.MediaType(img, types.DockerManifestSchema2), types.DockerConfigJSON))
}
