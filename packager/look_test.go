package packager_test

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager/engine"
)

// readThrough reads every layer as a sink does: to its end.
func readThrough(img v1.Image) error {
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	for _, l := range layers {
		rc, err := l.Compressed()
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, rc)
		if err := errors.Join(err, rc.Close()); err != nil {
			return err
		}
	}
	return nil
}

// entry is one entry of a tar, and its content.
type entry struct {
	tar.Header
	body string
}

// entriesOf reads a layer.
func entriesOf(l v1.Layer) []entry {
	GinkgoHelper()
	rc, err := l.Uncompressed()
	Expect(err).NotTo(HaveOccurred())
	defer rc.Close()
	var all []entry
	for archive := tar.NewReader(rc); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		Expect(err).NotTo(HaveOccurred())
		body, err := io.ReadAll(archive)
		Expect(err).NotTo(HaveOccurred())
		all = append(all, entry{*h, string(body)})
	}
}

// facts are all that a file system shows of the entry.
func (e entry) facts() string {
	return fmt.Sprintf("%c %04o %d:%d %s%s %s%s %x", e.Typeflag, e.Mode, e.Uid, e.Gid, e.Uname, e.Gname,
		e.ModTime.UTC(), e.Linkname, sha256.Sum256([]byte(e.body)))
}

// filesOf gives what the layers of an image hold together, by path. No path
// may stand twice, but for directories in several layers.
func filesOf(img v1.Image) map[string]string {
	GinkgoHelper()
	layers, err := img.Layers()
	Expect(err).NotTo(HaveOccurred())
	files := map[string]string{}
	for _, l := range layers {
		here := map[string]bool{}
		for _, e := range entriesOf(l) {
			Expect(here).NotTo(HaveKey(e.Name), "engines refuse a layer that has a path twice")
			here[e.Name] = true
			before, twice := files[e.Name]
			Expect(twice && e.Typeflag != tar.TypeDir).To(BeFalse(), "%s stands twice", e.Name)
			if twice {
				Expect(e.facts()).To(Equal(before), "%s is not always the same", e.Name)
			}
			files[e.Name] = e.facts()
		}
	}
	return files
}

func configOf(img v1.Image) *v1.ConfigFile {
	GinkgoHelper()
	config, err := img.ConfigFile()
	Expect(err).NotTo(HaveOccurred())
	return config
}

func layersLabelOf(img v1.Image) flatten.LayersLabel {
	GinkgoHelper()
	label, err := flatten.ParseLayersLabel(configOf(img).Config.Labels[flatten.BuildpackLayersLabel])
	Expect(err).NotTo(HaveOccurred())
	return label
}

// expectExact checks by an image's bytes alone that its label tells the truth:
// each ref's files lie in the layer that the label names and nowhere else, and
// there is nothing besides them.
func expectExact(img *engine.Image) {
	GinkgoHelper()
	label := layersLabelOf(img.Image)
	dirs := map[string]string{} // of each ref -> the layer that it should be in
	for _, r := range label.Refs() {
		dirs[flatten.Buildpack.Dir(r)] = label[r.ID][r.Version].LayerDiffID
	}
	layers, err := img.Image.Layers()
	Expect(err).NotTo(HaveOccurred())
	found := map[string]bool{}
	for i, l := range layers {
		diffID, err := l.DiffID()
		Expect(err).NotTo(HaveOccurred())
		Expect(configOf(img.Image).RootFS.DiffIDs[i]).To(Equal(diffID))
		here := map[string]bool{}
		for _, e := range entriesOf(l) {
			Expect(here).NotTo(HaveKey(e.Name), "engines refuse a layer that has a path twice")
			here[e.Name] = true
			dir := moduleDir(e.Name)
			if dir == "" {
				continue
			}
			Expect(dirs).To(HaveKeyWithValue(dir, diffID.String()), "%s in layer %d", e.Name, i+1)
			found[e.Name] = true
		}
	}
	for dir := range dirs {
		Expect(found).To(HaveKey(dir + "/buildpack.toml"))
	}
	var planned []flatten.Ref
	for _, l := range img.Layers {
		planned = append(planned, l.Plan.Refs...)
	}
	slices.SortFunc(planned, flatten.Ref.Compare)
	Expect(planned).To(Equal(label.Refs()))
}

// moduleDir is the version directory that a path lies in, "" above.
func moduleDir(name string) string {
	slashes := 0
	for i := range name {
		if name[i] == '/' {
			if slashes++; slashes == 5 {
				return name[:i]
			}
		}
	}
	if slashes == 4 {
		return name
	}
	return ""
}

// shared tells which refs lie together, by the label: one list per layer, in
// the order of the layers.
func shared(img v1.Image) [][]string {
	GinkgoHelper()
	label := layersLabelOf(img)
	var together [][]string
	for _, diffID := range configOf(img).RootFS.DiffIDs {
		var refs []string
		for _, r := range label.Refs() {
			if label[r.ID][r.Version].LayerDiffID == diffID.String() {
				refs = append(refs, r.String())
			}
		}
		together = append(together, refs)
	}
	return together
}

// labelsButDiffIDs gives all that the CNB labels say, but for where things lie.
func labelsButDiffIDs(img v1.Image) string {
	GinkgoHelper()
	label := layersLabelOf(img)
	for _, versions := range label {
		for v, info := range versions {
			info.LayerDiffID = ""
			versions[v] = info
		}
	}
	rest := map[string]string{}
	for key, value := range configOf(img).Config.Labels {
		if key != flatten.BuildpackLayersLabel && key != flatten.RecipesLabelKey {
			rest[key] = value
		}
	}
	text, err := json.MarshalIndent([]any{label, rest}, "", " ")
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}

func digestOf(img v1.Image) string {
	GinkgoHelper()
	d, err := img.Digest()
	Expect(err).NotTo(HaveOccurred())
	return d.String()
}

// imageID is the digest of the config.
func imageID(img v1.Image) string {
	GinkgoHelper()
	d, err := img.ConfigName()
	Expect(err).NotTo(HaveOccurred())
	return d.String()
}

// blobsOf are the digests of the layers, as the manifest lists them.
func blobsOf(img v1.Image) []string {
	GinkgoHelper()
	m, err := img.Manifest()
	Expect(err).NotTo(HaveOccurred())
	var digests []string
	for _, l := range m.Layers {
		digests = append(digests, l.Digest.String())
	}
	return digests
}
