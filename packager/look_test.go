package packager_test

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures/workbench"
	"laminate/flatten"
	"laminate/packager/engine"
)

type entry = workbench.TarEntry

var (
	readThrough = workbench.ReadThrough
	entriesOf   = workbench.EntriesOf
	configOf    = workbench.ConfigOf
	shared      = workbench.Shared
	digestOf    = workbench.DigestOf
	blobsOf     = workbench.BlobsOf
	tarOf       = workbench.TarOf
)

func layersLabelOf(img v1.Image) flatten.LayersLabel {
	GinkgoHelper()
	return workbench.LayersLabelOf(img, flatten.Buildpack)
}

// facts are all that a file system shows of the entry.
func facts(e entry) string {
	return fmt.Sprintf("%c %04o %d:%d %s%s %s%s %x", e.Typeflag, e.Mode, e.Uid, e.Gid, e.Uname, e.Gname,
		e.ModTime.UTC(), e.Linkname, sha256.Sum256([]byte(e.Body)))
}

// filesOf returns what the layers of an image hold together, by path. No path
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
				Expect(facts(e)).To(Equal(before), "%s is not always the same", e.Name)
			}
			files[e.Name] = facts(e)
		}
	}
	return files
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

// labelsButDiffIDs returns all that the CNB labels say, but for where things lie.
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

// imageID is the digest of the config.
func imageID(img v1.Image) string {
	GinkgoHelper()
	d, err := img.ConfigName()
	Expect(err).NotTo(HaveOccurred())
	return d.String()
}
