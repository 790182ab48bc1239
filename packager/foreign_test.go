package packager_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/compression"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

// gzipped is a layer as Go's own library compresses it.
func gzipped(content []byte, level int) v1.Layer {
	GinkgoHelper()
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}, tarball.WithCompressionLevel(level), tarball.WithMediaType(types.DockerLayer))
	Expect(err).NotTo(HaveOccurred())
	return l
}

func zstdCompressed(content []byte) v1.Layer {
	GinkgoHelper()
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}, tarball.WithCompression(compression.ZStd), tarball.WithMediaType(types.OCILayerZStd))
	Expect(err).NotTo(HaveOccurred())
	return l
}

func uncompressed(content []byte) v1.Layer {
	return static.NewLayer(content, types.DockerUncompressedLayer)
}

// uncompressedTar reads a layer's tar.
func uncompressedTar(l v1.Layer) []byte {
	GinkgoHelper()
	rc, err := l.Uncompressed()
	Expect(err).NotTo(HaveOccurred())
	defer rc.Close()
	content, err := io.ReadAll(rc)
	Expect(err).NotTo(HaveOccurred())
	return content
}

// relabelled is an image of the layers that says of itself what img does, but
// that the refs lie where the label has them; laminate's own label is not on it.
func relabelled(img v1.Image, label flatten.LayersLabel, layers ...v1.Layer) v1.Image {
	GinkgoHelper()
	config := configOf(img).DeepCopy()
	config.RootFS.DiffIDs, config.History = nil, nil
	delete(config.Config.Labels, flatten.RecipesLabelKey)
	text, err := json.Marshal(label)
	Expect(err).NotTo(HaveOccurred())
	config.Config.Labels[flatten.BuildpackLayersLabel] = string(text)
	other, err := mutate.ConfigFile(empty.Image, config)
	Expect(err).NotTo(HaveOccurred())
	other, err = mutate.AppendLayers(other, layers...)
	Expect(err).NotTo(HaveOccurred())
	return other
}

// recompressed is the image with every layer compressed by other means, and
// without laminate's own label.
func recompressed(img v1.Image, compress func([]byte) v1.Layer) v1.Image {
	GinkgoHelper()
	layers, err := img.Layers()
	Expect(err).NotTo(HaveOccurred())
	for i, l := range layers {
		layers[i] = compress(uncompressedTar(l))
	}
	return relabelled(img, layersLabelOf(img), layers...)
}

func gzip9(content []byte) v1.Layer { return gzipped(content, gzip.BestCompression) }

// flattenedByPack is the exploded image as pack's --flatten leaves it: all in
// one layer but the refs that are kept apart, in any order, with an entry for
// an id's directory only where it was not there before.
func flattenedByPack(exploded v1.Image, random *rand.Rand, apart ...string) v1.Image {
	GinkgoHelper()
	label := layersLabelOf(exploded)
	layers, err := exploded.Layers()
	Expect(err).NotTo(HaveOccurred())
	isApart := func(l v1.Layer) bool {
		diffID, err := l.DiffID()
		Expect(err).NotTo(HaveOccurred())
		for _, ref := range apart {
			r, err := flatten.ParseRef(ref)
			Expect(err).NotTo(HaveOccurred())
			if label[r.ID][r.Version].LayerDiffID == diffID.String() {
				return true
			}
		}
		return false
	}
	random.Shuffle(len(layers), func(i, j int) { layers[i], layers[j] = layers[j], layers[i] })
	var together []entry
	var kept []v1.Layer
	moved := map[string]bool{}
	there := map[string]bool{}
	for _, l := range layers {
		if isApart(l) {
			kept = append(kept, gzip9(uncompressedTar(l)))
			continue
		}
		diffID, err := l.DiffID()
		Expect(err).NotTo(HaveOccurred())
		moved[diffID.String()] = true
		entries := entriesOf(l)
		for _, e := range entries {
			if !there[e.Name] {
				together = append(together, e)
			}
		}
		there[entries[0].Name] = true // as pack does: the id's directory, nothing else
	}
	all := gzip9(tarOf(together...))
	diffID, err := all.DiffID()
	Expect(err).NotTo(HaveOccurred())
	for _, versions := range label {
		for v, info := range versions {
			if moved[info.LayerDiffID] {
				info.LayerDiffID = diffID.String()
				versions[v] = info
			}
		}
	}
	return relabelled(exploded, label, append([]v1.Layer{all}, kept...)...)
}

// keepLayout writes an image, or several for several platforms, as an OCI
// layout, without laminate's help.
func (b *bench) keepLayout(name string, images ...v1.Image) string {
	GinkgoHelper()
	dir, err := layout.Write(b.At(name), empty.Index)
	Expect(err).NotTo(HaveOccurred())
	for _, img := range images {
		Expect(dir.AppendImage(img, layout.WithPlatform(*configOf(img).Platform()))).To(Succeed())
	}
	return name
}

// keepCNB writes an image as a .cnb, without laminate's help.
func (b *bench) keepCNB(name string, img v1.Image) string {
	GinkgoHelper()
	b.keepLayout(name+".layout", img)
	Expect(os.WriteFile(b.At(name), tarOf(treeEntries(b.At(name+".layout"))...), 0o644)).To(Succeed())
	return name
}

// treeEntries lists the files of a directory as entries of a tar.
func treeEntries(dir string) []entry {
	GinkgoHelper()
	var entries []entry
	Expect(filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || file == dir {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		if d.IsDir() {
			entries = append(entries, entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755}})
			return nil
		}
		body, err := os.ReadFile(file)
		entries = append(entries, entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, Body: string(body)})
		return err
	})).To(Succeed())
	return entries
}
