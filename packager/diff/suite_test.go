package diff_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager/diff"
	"laminate/packager/image"
	"laminate/packager/progress"
	"laminate/packager/stream"
)

func TestDiff(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "packager/diff")
}

// hashOf is the hash that stands for a content.
func hashOf(content string) v1.Hash {
	sum := sha256.Sum256([]byte(content))
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// made is a layer that is not there: it has a content and, in blob, a compression. Nothing can read
// it.
type made struct {
	content, blob string
	size          int64
	refs          []string
	pieces        map[string]string // contents of its refs, for laminate's label
}

func (m made) DiffID() (v1.Hash, error)             { return hashOf(m.content), nil }
func (m made) Digest() (v1.Hash, error)             { return hashOf(m.content + m.blob + " blob"), nil }
func (m made) Size() (int64, error)                 { return m.size, nil }
func (m made) MediaType() (types.MediaType, error)  { return types.DockerLayer, nil }
func (m made) Compressed() (io.ReadCloser, error)   { return nil, errors.New("a layer is read") }
func (m made) Uncompressed() (io.ReadCloser, error) { return nil, errors.New("a layer is read") }

// layersOf makes layers of 100 bytes of words: content, or content/blob.
func layersOf(words string) (all []made) {
	for w := range strings.FieldsSeq(words) {
		content, blob, _ := strings.Cut(w, "/")
		all = append(all, made{content: content, blob: blob, size: 100})
	}
	return all
}

// spec is an image to be made.
type spec struct {
	layers  []made
	orders  map[string]flatten.Order // of composites, by ref
	labels  map[string]any           // values that are no strings are encoded
	config  func(*v1.ConfigFile)
	daemon  bool
	history []string
}

// image makes the image. Refs in layers become the layers label.
func (s spec) image() *image.Image {
	GinkgoHelper()
	var adds []mutate.Addendum
	label, recipes := flatten.LayersLabel{}, flatten.RecipesLabel{}
	for i, l := range s.layers {
		var pieces []flatten.Facts
		for _, ref := range l.refs {
			r := refOf(ref)
			m := flatten.Module{Kind: flatten.Buildpack, API: "0.10", Info: flatten.Info{ID: r.ID, Version: r.Version}, Order: s.orders[ref]}
			label.Add(m, hashOf(l.content))
			if content, has := l.pieces[ref]; has {
				pieces = append(pieces, flatten.Facts{Ref: r, ContentID: hashOf(content), Length: 512})
			}
		}
		if len(pieces) > 0 {
			recipes.Add(hashOf(l.content), pieces)
		}
		history := v1.History{}
		if i < len(s.history) {
			history.CreatedBy = s.history[i]
		}
		adds = append(adds, mutate.Addendum{Layer: l, History: history, MediaType: types.DockerLayer})
	}
	raw, err := mutate.Append(empty.Image, adds...)
	Expect(err).NotTo(HaveOccurred())
	config, err := raw.ConfigFile()
	Expect(err).NotTo(HaveOccurred())
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	config.Config.Labels = map[string]string{}
	if len(label) > 0 {
		config.Config.Labels[flatten.BuildpackLayersLabel] = encoded(label)
	}
	if len(recipes) > 0 {
		config.Config.Labels[flatten.RecipesLabelKey] = encoded(recipes)
	}
	for key, value := range s.labels {
		config.Config.Labels[key] = encoded(value)
	}
	if s.config != nil {
		s.config(config)
	}
	raw, err = mutate.ConfigFile(raw, config)
	Expect(err).NotTo(HaveOccurred())
	img, err := image.New(context.Background(), image.Raw{Image: raw, Name: "it", Stored: !s.daemon, Limits: stream.Limits{}.OrDefault(), Log: progress.Discard})
	Expect(err).NotTo(HaveOccurred())
	return img
}

func encoded(value any) string {
	GinkgoHelper()
	if s, is := value.(string); is {
		return s
	}
	b, err := json.Marshal(value)
	Expect(err).NotTo(HaveOccurred())
	return string(b)
}

func refOf(s string) flatten.Ref {
	GinkgoHelper()
	r, err := flatten.ParseRef(s)
	Expect(err).NotTo(HaveOccurred())
	return r
}

// order is an order of groups: "a b?" is one, whose second entry is optional.
func order(groups ...string) (o flatten.Order) {
	for _, g := range groups {
		var group flatten.Group
		for e := range strings.FieldsSeq(g) {
			e, optional := strings.CutSuffix(e, "?")
			id, version, _ := strings.Cut(e, "@")
			group.Entries = append(group.Entries, flatten.Entry{ID: id, Version: version, Optional: optional})
		}
		o = append(o, group)
	}
	return o
}

// builder is a builder of buildpacks in layers of their own, or sharing one: "a@1,b@1".
func builder(layers string, groups ...string) spec {
	s := spec{labels: map[string]any{flatten.BuilderMetadataLabel: flatten.BuilderMetadata{}, flatten.OrderLabel: order(groups...)}, orders: map[string]flatten.Order{}}
	for w := range strings.FieldsSeq(layers) {
		refs := strings.Split(w, ",")
		if !strings.Contains(w, "@") {
			refs = nil
		}
		s.layers = append(s.layers, made{content: w, size: 100, refs: refs})
	}
	return s
}

// compare compares two images.
func compare(old, new spec) *diff.Diff {
	GinkgoHelper()
	return images(old.image(), new.image())
}

func images(old, new *image.Image) *diff.Diff {
	GinkgoHelper()
	d, err := diff.Images(old, new)
	Expect(err).NotTo(HaveOccurred())
	return d
}

// equalWords is Equal, where no words may be nil.
func equalWords(words []string) OmegaMatcher {
	if len(words) == 0 {
		return BeEmpty()
	}
	return Equal(words)
}

// said are the changes of modules, a word each.
func said(d *diff.Diff) (all []string) {
	for _, m := range d.Modules {
		all = append(all, m.Change+" "+m.ID+" "+m.From+">"+m.To)
	}
	return all
}
