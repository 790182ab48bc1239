package source_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/source"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// compressed returns the media type of a layer, and its blob.
func compressed(c layer.Compression, data []byte) (types.MediaType, []byte) {
	var b bytes.Buffer
	var w io.WriteCloser
	mediaType := types.OCILayer
	switch c {
	case layer.Uncompressed:
		return types.OCIUncompressedLayer, data
	case layer.Zstd:
		enc, err := zstd.NewWriter(&b)
		Expect(err).NotTo(HaveOccurred())
		w, mediaType = enc, types.OCILayerZStd
	case layer.Gzip:
		w = gzip.NewWriter(&b)
	}
	_, err := w.Write(data)
	Expect(err).NotTo(HaveOccurred())
	Expect(w.Close()).To(Succeed())
	return mediaType, b.Bytes()
}

// blob is a layer with a diffID of its own, true or not.
type blob struct {
	v1.Layer
	diffID v1.Hash
	data   []byte
}

func (b blob) DiffID() (v1.Hash, error) { return b.diffID, nil }

func (b blob) Uncompressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(b.data)), nil
}

func newBlob(c layer.Compression, data []byte) blob {
	mediaType, packed := compressed(c, data)
	diffID, _, err := v1.SHA256(bytes.NewReader(data))
	Expect(err).NotTo(HaveOccurred())
	return blob{static.NewLayer(packed, mediaType), diffID, data}
}

// layerOf is the tar of a layer that holds the components.
func layerOf(ids ...string) []byte {
	GinkgoHelper()
	var b bytes.Buffer
	for _, id := range ids {
		p, err := (&source.Opener{}).Package(context.Background(), path(component(id).dir()), flatten.Buildpack, flatten.Target{})
		Expect(err).NotTo(HaveOccurred())
		Expect(p.Modules[0].Piece.WriteEntries(context.Background(), &b)).To(Succeed())
	}
	b.Write(make([]byte, 1024))
	return b.Bytes()
}

// sample is a buildpackage: acme/a and acme/b share a layer, acme/root has one
// of its own.
type sample struct {
	compression layer.Compression
	target      flatten.Target
	base        v1.Image // empty.Image, with OCI media types, if nil
	change      func(label flatten.LayersLabel, config *v1.ConfigFile)
	labels      func(labels map[string]string)
}

func (s sample) image() v1.Image {
	GinkgoHelper()
	layers := []blob{newBlob(s.compression, layerOf("acme/root")), newBlob(s.compression, layerOf("acme/a", "acme/b"))}
	img := s.base
	if img == nil {
		img = sampleBase()
	}
	img, err := mutate.AppendLayers(img, layers[0], layers[1])
	Expect(err).NotTo(HaveOccurred())
	label := flatten.LayersLabel{}
	for i, ids := range [][]string{{"acme/root"}, {"acme/a", "acme/b"}} {
		for _, id := range ids {
			m := flatten.Module{API: "0.10", Info: flatten.Info{ID: id, Version: "1.0.0", Name: "Name of " + id}, Stacks: []flatten.Stack{{ID: "*"}}}
			if id == "acme/root" {
				m.Order = flatten.Order{{Entries: []flatten.Entry{{ID: "acme/a", Version: "1.0.0"}, {ID: "acme/b", Version: "1.0.0", Optional: true}}}}
			}
			label.Add(m, layers[i].diffID)
		}
	}
	config, err := img.ConfigFile()
	Expect(err).NotTo(HaveOccurred())
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = s.target.OS, s.target.Arch, s.target.Variant
	metadata := flatten.Metadata{Info: flatten.Info{ID: "acme/root", Version: "1.0.0", Description: "What it is", Licenses: []flatten.License{{Type: "MIT"}}}, Stacks: []flatten.Stack{}}
	config.Config.Labels = map[string]string{flatten.BuildpackageMetadataLabel: asJSON(metadata)}
	if s.change != nil {
		s.change(label, config)
	}
	config.Config.Labels[flatten.BuildpackLayersLabel] = asJSON(label)
	if s.labels != nil {
		s.labels(config.Config.Labels)
	}
	img, err = mutate.ConfigFile(img, config)
	Expect(err).NotTo(HaveOccurred())
	return img
}

func asJSON(v any) string {
	data, err := json.Marshal(v)
	Expect(err).NotTo(HaveOccurred())
	return string(data)
}

// index is an image index of samples for the targets.
func index(targets ...flatten.Target) v1.ImageIndex {
	GinkgoHelper()
	idx := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, t := range targets {
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: sample{compression: layer.Gzip, target: t}.image(), Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: t.OS, Architecture: t.Arch, Variant: t.Variant},
		}})
	}
	return idx
}

// layoutOf writes images into a layout; what has a tag gets it.
func layoutOf(images map[string]partial.Describable) string {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	l, err := layout.Write(dir, empty.Index)
	Expect(err).NotTo(HaveOccurred())
	for tag, one := range images {
		var options []layout.Option
		if tag != "" {
			options = append(options, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": tag}))
		}
		switch one := one.(type) {
		case v1.ImageIndex:
			Expect(l.AppendIndex(one, options...)).To(Succeed())
		case v1.Image:
			Expect(l.AppendImage(one, options...)).To(Succeed())
		}
	}
	return dir
}

func layoutOfOne(one partial.Describable) string {
	return layoutOf(map[string]partial.Describable{"": one})
}

// tarOfDir packs a directory as pack packs a layout: names begin with prefix.
func tarOfDir(dir, prefix string) []byte {
	GinkgoHelper()
	var entries []entry
	Expect(filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(p)
		entries = append(entries, entry{Header: tar.Header{Name: prefix + rel, Mode: 0o644}, body: string(data)})
		return err
	})).To(Succeed())
	return tarOf(entries...)
}

func dockerArchive(images map[string]v1.Image) string {
	GinkgoHelper()
	p := filepath.Join(GinkgoT().TempDir(), "docker.tar")
	byTag := map[name.Reference]v1.Image{}
	for tag, img := range images {
		ref, err := name.NewTag(tag)
		Expect(err).NotTo(HaveOccurred())
		byTag[ref] = img
	}
	Expect(tarball.MultiRefWriteToFile(p, byTag)).To(Succeed())
	return p
}

// uncompressedDocker is an archive of one image as `docker save` writes it:
// the layers are not compressed.
func uncompressedDocker(img v1.Image, change func([]entry) []entry) string {
	GinkgoHelper()
	config, err := img.RawConfigFile()
	Expect(err).NotTo(HaveOccurred())
	digest, _, err := v1.SHA256(bytes.NewReader(config))
	Expect(err).NotTo(HaveOccurred())
	m := tarball.Descriptor{Config: digest.Hex + ".json", RepoTags: []string{"acme/root:latest"}}
	entries := []entry{{Header: tar.Header{Name: m.Config}, body: string(config)}}
	layers, err := img.Layers()
	Expect(err).NotTo(HaveOccurred())
	for i, l := range layers {
		rc, err := l.Uncompressed()
		Expect(err).NotTo(HaveOccurred())
		data, err := io.ReadAll(rc)
		Expect(err).NotTo(HaveOccurred())
		file := string(rune('a'+i)) + "/layer.tar"
		m.Layers = append(m.Layers, file)
		entries = append(entries, entry{Header: tar.Header{Name: "real/" + file}, body: string(data)},
			entry{Header: tar.Header{Name: file, Typeflag: tar.TypeSymlink, Linkname: "../real/" + file}})
	}
	entries = append(entries, entry{Header: tar.Header{Name: "manifest.json"}, body: asJSON(tarball.Manifest{m})})
	if change != nil {
		entries = change(entries)
	}
	return file("saved.tar", tarOf(entries...))
}

func push(ref string, one partial.Describable) {
	GinkgoHelper()
	parsed, err := name.ParseReference(ref)
	Expect(err).NotTo(HaveOccurred())
	switch one := one.(type) {
	case v1.ImageIndex:
		Expect(remote.WriteIndex(parsed, one)).To(Succeed())
	case v1.Image:
		Expect(remote.Write(parsed, one)).To(Succeed())
	}
}

func withImage(idx v1.ImageIndex, img v1.Image) v1.ImageIndex {
	config, err := img.ConfigFile()
	Expect(err).NotTo(HaveOccurred())
	return mutate.AppendManifests(idx, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{
		Platform: &v1.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant},
	}})
}

func withIndex(idx, inner v1.ImageIndex) v1.ImageIndex {
	return mutate.AppendManifests(idx, mutate.IndexAddendum{Add: inner})
}

// withPlatform is the index, its images all said to be for one platform.
func withPlatform(idx v1.ImageIndex, p v1.Platform) v1.ImageIndex {
	m := must(idx.IndexManifest())
	lying := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, d := range m.Manifests {
		lying = withIndexPlatform(lying, must(idx.Image(d.Digest)), p)
	}
	return lying
}

func withIndexPlatform(idx v1.ImageIndex, img v1.Image, p v1.Platform) v1.ImageIndex {
	return mutate.AppendManifests(idx, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &p}})
}

// sampleBase is an image without layers, of OCI media types.
func sampleBase() v1.Image {
	return mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
}
