package builder_test

import (
	"archive/tar"
	"crypto/sha256"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures/workbench"
	"laminate/flatten"
)

type entry = workbench.TarEntry

var (
	readThrough   = workbench.ReadThrough
	entriesOf     = workbench.EntriesOf
	configOf      = workbench.ConfigOf
	layersLabelOf = workbench.LayersLabelOf
	digestOf      = workbench.DigestOf
	blobsOf       = workbench.BlobsOf
	tarOf         = workbench.TarOf
)

// shared lists the refs of each layer that holds buildpacks, by the label.
func shared(img v1.Image) (together []string) {
	GinkgoHelper()
	for _, refs := range workbench.Shared(img) {
		if len(refs) > 0 {
			together = append(together, strings.Join(refs, " "))
		}
	}
	return together
}

func labelOf(img v1.Image, key string) string {
	GinkgoHelper()
	Expect(configOf(img).Config.Labels).To(HaveKey(key))
	return configOf(img).Config.Labels[key]
}

func layersOf(img v1.Image) []v1.Layer {
	GinkgoHelper()
	layers, err := img.Layers()
	Expect(err).NotTo(HaveOccurred())
	return layers
}

// golden writes an entry down, for a person to read.
func golden(e entry) string {
	s := fmt.Sprintf("%c %04o %d:%d %s %s", e.Typeflag, e.Mode, e.Uid, e.Gid, e.ModTime.UTC().Format("2006-01-02T15:04:05Z"), e.Name)
	if e.Linkname != "" {
		s += " -> " + e.Linkname
	}
	if e.Body != "" {
		s += fmt.Sprintf(" (%d bytes, %.8s)", len(e.Body), fmt.Sprintf("%x", sha256.Sum256([]byte(e.Body))))
	}
	return s
}

func goldens(l v1.Layer) string {
	GinkgoHelper()
	var lines []string
	for _, e := range entriesOf(l) {
		lines = append(lines, golden(e))
	}
	return strings.Join(lines, "\n")
}

// seen is a file as it shows in a container, the layer that it is in, and
// those below where it is just the same.
type seen struct {
	workbench.TarEntry
	layer int
	below []int
}

// seenIn applies the layers one upon the other (OCI image spec, "Applying
// Changesets"): what shows, by absolute path.
func seenIn(img v1.Image) map[string]seen {
	GinkgoHelper()
	files := map[string]seen{}
	for i, l := range layersOf(img) {
		all := entriesOf(l)
		for _, e := range all { // whiteouts hide what lower layers have
			dir, base := path.Split(path.Clean("/" + e.Name))
			hidden, is := strings.CutPrefix(base, ".wh.")
			for name := range files {
				if is && (name == dir+hidden || strings.HasPrefix(name, dir+hidden+"/")) {
					delete(files, name)
				}
			}
		}
		for _, e := range all {
			name := path.Clean("/" + e.Name)
			if !strings.HasPrefix(path.Base(name), ".wh.") {
				s := seen{TarEntry: e, layer: i}
				if old, there := files[name]; there && golden(old.TarEntry) == golden(e) {
					s.below = append(old.below, old.layer)
				}
				files[name] = s
			}
		}
	}
	return files
}

// shows returns the content of what shows, by path.
func shows(img v1.Image) map[string]string {
	GinkgoHelper()
	content := map[string]string{}
	for name, s := range seenIn(img) {
		content[name] = golden(s.TarEntry)
	}
	return content
}

// expectExact checks by an image's bytes alone what must hold of any builder:
// the labels tell the truth, no buildpack shows files of another layer than
// its own, and the history is that of the layers. What is doubled may show
// from another layer if that makes no difference.
func expectExact(img v1.Image, doubled bool) {
	GinkgoHelper()
	config := configOf(img)
	files := seenIn(img)
	dirs := map[string]string{}
	for _, kind := range []flatten.Kind{flatten.Buildpack, flatten.Extension} {
		label := layersLabelOf(img, kind)
		for _, r := range label.Refs() {
			dirs[kind.Dir(r)] = label[r.ID][r.Version].LayerDiffID
			Expect(files).To(HaveKey(kind.Dir(r) + "/" + kind.Descriptor()))
		}
	}
	for name, s := range files {
		parts := strings.SplitN(name, "/", 6)
		if len(parts) < 5 || parts[1] != "cnb" || parts[2] != "buildpacks" && parts[2] != "extensions" {
			continue
		}
		dir := strings.Join(parts[:5], "/")
		Expect(dirs).To(HaveKey(dir), "%s is of no buildpack", name)
		isDoubled := doubled && slices.ContainsFunc(s.below, func(i int) bool { return config.RootFS.DiffIDs[i].String() == dirs[dir] })
		if s.Typeflag != tar.TypeDir && !isDoubled {
			Expect(config.RootFS.DiffIDs[s.layer].String()).To(Equal(dirs[dir]), "%s shows from layer %d", name, s.layer+1)
		}
	}
	expectSound(img, config)
}

// expectSound checks config and manifest against the layers.
func expectSound(img v1.Image, config *v1.ConfigFile) {
	GinkgoHelper()
	m, err := img.Manifest()
	Expect(err).NotTo(HaveOccurred())
	layers := layersOf(img)
	Expect(m.Layers).To(HaveLen(len(layers)))
	Expect(config.RootFS.DiffIDs).To(HaveLen(len(layers)))
	history := 0
	for _, h := range config.History {
		if !h.EmptyLayer {
			history++
		}
	}
	Expect(history).To(Equal(len(layers)))
	for i, l := range layers {
		Expect(l.Digest()).To(Equal(m.Layers[i].Digest))
		Expect(l.Size()).To(Equal(m.Layers[i].Size))
		Expect(l.DiffID()).To(Equal(config.RootFS.DiffIDs[i]))
	}
}

// length is how much a stream holds.
func length(stream io.ReadCloser) int64 {
	GinkgoHelper()
	n, err := io.Copy(io.Discard, stream)
	Expect(err).NotTo(HaveOccurred())
	Expect(stream.Close()).To(Succeed())
	return n
}
