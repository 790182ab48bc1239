package update_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/update"
	"laminate/fixtures"
	"laminate/packager/source"
)

func TestUpdate(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "update")
}

// world is a registry that stands for all registries: repositories of the
// host h are in h/ there.
type world struct {
	*fixtures.Traffic
	open *source.Opener
}

func newWorld() *world {
	w := &world{Traffic: fixtures.CountedRegistry(GinkgoT())}
	w.open = &source.Opener{Transport: w, Pause: 1}
	return w
}

// RoundTrip leads every request to the registry.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	asked := r
	r = r.Clone(r.Context())
	if rest, is := strings.CutPrefix(r.URL.Path, "/v2/"); is && rest != "" {
		r.URL.Path = "/v2/" + strings.ReplaceAll(r.URL.Host, ":", "-") + "/" + rest
	}
	r.URL.Scheme, r.URL.Host = "http", w.Host
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		resp.Request = asked
	}
	return resp, err
}

// Tags implements update.Registry.
func (w *world) Tags(ctx context.Context, repository string) ([]string, error) {
	r, err := w.open.Repository(ctx, repository)
	if err != nil {
		return nil, err
	}
	return r.Tags(ctx)
}

// Digest implements update.Registry.
func (w *world) Digest(ctx context.Context, repository, tag string) (string, error) {
	r, err := w.open.Repository(ctx, repository)
	if err != nil {
		return "", err
	}
	digest, err := r.Digest(ctx, tag)
	if err != nil || digest.Hex == "" {
		return "", err
	}
	return digest.String(), nil
}

// Labels implements update.Registry.
func (w *world) Labels(ctx context.Context, repository, reference string) (string, map[string]string, error) {
	r, err := w.open.Repository(ctx, repository)
	if err != nil {
		return "", nil, err
	}
	return r.Labels(ctx, reference)
}

// at is where the world has an image.
func (w *world) at(ref string) name.Reference {
	GinkgoHelper()
	parsed, err := name.ParseReference(ref)
	Expect(err).NotTo(HaveOccurred())
	there := w.Host + "/" + strings.ReplaceAll(parsed.Context().RegistryStr(), ":", "-") + "/" + parsed.Context().RepositoryStr()
	there += ":" + parsed.Identifier()
	result, err := name.ParseReference(there)
	Expect(err).NotTo(HaveOccurred())
	return result
}

// labelled is an image with labels and no layers.
func labelled(labels map[string]string) v1.Image {
	GinkgoHelper()
	img, err := mutate.Config(empty.Image, v1.Config{Labels: labels})
	Expect(err).NotTo(HaveOccurred())
	return img
}

// packaged are the labels of a buildpackage of the first ref, with the others.
func packaged(refs ...string) map[string]string {
	return packagedAs("buildpack", refs...)
}

func packagedAs(kind string, refs ...string) map[string]string {
	GinkgoHelper()
	label := map[string]map[string]any{}
	for _, r := range refs {
		id, version, _ := strings.Cut(r, "@")
		if label[id] == nil {
			label[id] = map[string]any{}
		}
		label[id][version] = map[string]string{"api": "0.10", "layerDiffID": "sha256:" + strings.Repeat("a", 64)}
	}
	id, version, _ := strings.Cut(refs[0], "@")
	return map[string]string{
		"io.buildpacks." + kind + ".layers":   asJSON(label),
		"io.buildpacks.buildpackage.metadata": asJSON(map[string]string{"id": id, "version": version, "homepage": "https://github.com/acme/" + filepath.Base(id)}),
	}
}

func asJSON(v any) string {
	GinkgoHelper()
	text, err := json.Marshal(v)
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}

// push pushes an image, and returns its digest.
func (w *world) push(ref string, labels map[string]string) string {
	GinkgoHelper()
	img := labelled(labels)
	Expect(remote.Write(w.at(ref), img)).To(Succeed())
	d, err := img.Digest()
	Expect(err).NotTo(HaveOccurred())
	return d.String()
}

// pushAll pushes the versions of a buildpack.
func (w *world) pushAll(repository, id string, versions ...string) {
	GinkgoHelper()
	for _, v := range versions {
		w.push(repository+":"+v, packaged(id+"@"+strings.TrimPrefix(v, "v")))
	}
}

// pushTags pushes images without labels.
func (w *world) pushTags(repository string, tags ...string) {
	GinkgoHelper()
	for _, t := range tags {
		w.push(repository+":"+t, map[string]string{"tag": t})
	}
}

// folder has files in a directory of its own.
type folder string

func newFolder(files map[string]string) folder {
	GinkgoHelper()
	f := folder(GinkgoT().TempDir())
	for path, text := range files {
		f.write(path, text)
	}
	return f
}

func (f folder) write(path, text string) {
	GinkgoHelper()
	Expect(os.MkdirAll(filepath.Dir(f.at(path)), 0o755)).To(Succeed())
	Expect(os.WriteFile(f.at(path), []byte(text), 0o644)).To(Succeed())
}

func (f folder) at(path string) string { return filepath.Join(string(f), path) }

// plan plans an update.
func (w *world) plan(file string, o update.Options) (*update.Plan, error) {
	files, err := update.Read(file)
	if err != nil {
		return nil, err
	}
	o.Registry = w
	return files.Plan(context.Background(), o)
}

// updated is a builder.toml after an update with these options.
func (w *world) updated(text string, o update.Options) (string, *update.Plan) {
	GinkgoHelper()
	plan, err := w.plan(newFolder(map[string]string{"builder.toml": text}).at("builder.toml"), o)
	Expect(err).NotTo(HaveOccurred())
	outputs, err := plan.Outputs()
	Expect(err).NotTo(HaveOccurred())
	if len(outputs) == 0 {
		return text, plan
	}
	Expect(outputs).To(HaveLen(1))
	return string(outputs[0].New), plan
}

// become is the value that a builder.toml's only buildpack has after an update.
func (w *world) become(line string, o update.Options) string {
	GinkgoHelper()
	text, _ := w.updated("[[buildpacks]]\n"+line+"\n", o)
	return strings.TrimSuffix(strings.TrimPrefix(text, "[[buildpacks]]\n"), "\n")
}

// fails is the error of a builder.toml, without the directory's name.
func (w *world) fails(text string) string {
	GinkgoHelper()
	f := newFolder(map[string]string{"builder.toml": text})
	_, err := w.plan(f.at("builder.toml"), update.Options{})
	Expect(err).To(HaveOccurred())
	return strings.ReplaceAll(err.Error(), string(f)+"/", "")
}

func item(i update.Item) string {
	return strings.TrimSpace(fmt.Sprintf("%s:%d %s %s %s -> %s (%s) %s", filepath.Base(i.File), i.Line, i.Key, i.Name, i.From, i.To, i.Status, i.Reason))
}

// indexOf is an index of an image, for two platforms, with an attestation
// before it.
func indexOf(img v1.Image) v1.ImageIndex {
	other := labelled(nil)
	return mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: other, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}},
		mutate.IndexAddendum{Add: other, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}},
		mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}})
}
