package collect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/history"
	"laminate/builder/history/collect"
	"laminate/fixtures"
	"laminate/flatten"
	"laminate/packager/progress"
	"laminate/packager/source"
)

func TestCollect(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "collect")
}

var amd64 = flatten.Target{OS: "linux", Arch: "amd64"}

func ref(s string) flatten.Ref {
	r, err := flatten.ParseRef(s)
	Expect(err).NotTo(HaveOccurred())
	return r
}

// part is a layer of a builder: what it holds, and how large its blob is.
type part struct {
	refs string // between spaces
	size int
	// lengths, where they are there, are what laminate's label says.
	lengths []int64
}

// sample is a builder that exists in a registry only.
type sample struct {
	order   string            // the refs that the builder's order names
	orders  map[string]string // what composites name
	parts   []part
	created time.Time
	arch    string            // amd64 where it is empty
	labels  map[string]string // instead of what would be there; "" leaves one out
	notes   map[string]string // annotations of the manifest
}

func entries(refs string) flatten.Order {
	var g flatten.Group
	for _, name := range strings.Fields(refs) {
		id, version, _ := strings.Cut(name, "@")
		g.Entries = append(g.Entries, flatten.Entry{ID: id, Version: version})
	}
	return flatten.Order{g}
}

// image makes the sample, on a base layer of 10 bytes. Its layers are no
// archives: who reads one has failed.
func (s sample) image() v1.Image {
	GinkgoHelper()
	img := v1.Image(empty.Image)
	layers, recipes := flatten.LayersLabel{}, flatten.RecipesLabel{}
	for _, p := range append([]part{{size: 10}}, s.parts...) {
		content := append([]byte(p.refs), make([]byte, p.size)...)[:p.size]
		l := static.NewLayer(content, types.DockerLayer)
		diffID, err := l.DiffID()
		Expect(err).NotTo(HaveOccurred())
		img, err = mutate.AppendLayers(img, l)
		Expect(err).NotTo(HaveOccurred())
		var facts []flatten.Facts
		for i, name := range strings.Fields(p.refs) {
			r := ref(name)
			m := flatten.Module{Kind: flatten.Buildpack, API: "0.10", Info: flatten.Info{ID: r.ID, Version: r.Version}}
			if names, is := s.orders[name]; is {
				m.Order = entries(names)
			}
			layers.Add(m, diffID)
			if p.lengths != nil {
				facts = append(facts, flatten.Facts{Ref: r, ContentID: v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("a", 64)}, Length: p.lengths[i]})
			}
		}
		if facts != nil {
			recipes.Add(diffID, facts)
		}
	}
	labels := map[string]string{
		flatten.BuilderMetadataLabel: `{"lifecycle":{"version":"0.20.1"}}`,
		flatten.OrderLabel:           asJSON(entries(s.order)),
		flatten.BuildpackLayersLabel: asJSON(layers),
		flatten.RecipesLabelKey:      asJSON(recipes),
	}
	for key, value := range s.labels {
		if labels[key] = value; value == "" {
			delete(labels, key)
		}
	}
	config, err := img.ConfigFile()
	Expect(err).NotTo(HaveOccurred())
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", "amd64", v1.Time{Time: s.created}
	if s.arch != "" {
		config.Architecture = s.arch
	}
	config.Config.Labels = labels
	img, err = mutate.ConfigFile(img, config)
	Expect(err).NotTo(HaveOccurred())
	if s.notes != nil {
		img = mutate.Annotations(img, s.notes).(v1.Image)
	}
	return img
}

func asJSON(v any) string {
	GinkgoHelper()
	text, err := json.Marshal(v)
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}

// simple is a builder of one composite, whose layers are its own.
func simple(version string) sample {
	return sample{
		order: "acme/all@" + version, orders: map[string]string{"acme/all@" + version: "acme/a@" + version + " acme/b@1"},
		parts: []part{{refs: "acme/a@" + version, size: 100}, {refs: "acme/b@1", size: 50}, {refs: "acme/all@" + version, size: 20}},
	}
}

// repository is one in a registry that counts.
type repository struct {
	*fixtures.Traffic
	name string
}

func newRepository() repository {
	r := fixtures.CountedRegistry(GinkgoT())
	return repository{r, r.Host + "/acme/builder"}
}

// write pushes an image with its blobs.
func (r repository) write(tag string, s sample) {
	GinkgoHelper()
	parsed, err := name.ParseReference(r.name + ":" + tag)
	Expect(err).NotTo(HaveOccurred())
	Expect(remote.Write(parsed, s.image())).To(Succeed())
}

// options collect all of the repository.
func (r repository) options() collect.Options {
	GinkgoHelper()
	images, err := (&source.Opener{}).Repository(context.Background(), r.name)
	Expect(err).NotTo(HaveOccurred())
	return collect.Options{Builder: "acme/builder", Images: images, Target: amd64}
}

// collected runs what must succeed, and gives the file as it is written.
func collected(o collect.Options) (*collect.Result, string) {
	GinkgoHelper()
	result, err := collect.Run(context.Background(), o)
	Expect(err).NotTo(HaveOccurred())
	return result, written(result.History)
}

func written(f *history.File) string {
	GinkgoHelper()
	var b bytes.Buffer
	Expect(f.Write(&b)).To(Succeed())
	return b.String()
}

// reread returns a file as it is after it was written and read.
func reread(text string) *history.File {
	GinkgoHelper()
	f, err := history.Read(strings.NewReader(text))
	Expect(err).NotTo(HaveOccurred())
	return f
}

func versionsOf(f *history.File) (versions []string) {
	for _, r := range f.Releases {
		versions = append(versions, r.Version)
	}
	return versions
}

// warnings is a log that keeps them.
type warnings struct {
	progress.Log
	mu  sync.Mutex
	all []string
}

func newWarnings() *warnings { return &warnings{Log: progress.Discard} }

func (w *warnings) Warn(message string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, message)
}

func (r repository) writeIndex(tag string, index v1.ImageIndex) {
	GinkgoHelper()
	parsed, err := name.ParseReference(r.name + ":" + tag)
	Expect(err).NotTo(HaveOccurred())
	Expect(remote.WriteIndex(parsed, index)).To(Succeed())
}
