package attest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/gomega"

	"laminate/fixtures/workbench"
	"laminate/packager/attest"
	"laminate/packager/image"
	"laminate/packager/stream"
)

// Whatever a document holds, it is about valid digests, or there is an error.
func FuzzSubjects(f *testing.F) {
	for _, s := range []string{
		`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + hash("a").Hex + `"}}]}`,
		`{"payloadType":"application/vnd.in-toto+json","payload":"e30="}`,
		`{"bomFormat":"CycloneDX","metadata":{"component":{"version":"sha256:` + hash("a").Hex + `","purl":"pkg:oci/a@sha256%3A","hashes":[{"alg":"SHA-256","content":"` + hash("b").Hex + `"}]}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		for _, is := range []string{attest.InToto, attest.Envelope, attest.CycloneDX} {
			about, err := attest.Subjects(is, document)
			if (err == nil) == (len(about) == 0) {
				t.Fatalf("%v and %v", about, err)
			}
			for _, h := range about {
				if again, err := v1.NewHash(h.String()); err != nil || again != h {
					t.Fatalf("%q is no digest", h)
				}
			}
		}
	})
}

// Whatever the labels of an image say, its SBOM is valid, about the image, and has each module once;
// or there is an error.
func FuzzSBOM(f *testing.F) {
	RegisterTestingT(f)
	labels := builderLabels()
	f.Add(labels["io.buildpacks.builder.metadata"], labels["io.buildpacks.buildpack.layers"], labels["io.buildpacks.extension.layers"], "ubuntu", "stack")
	f.Add(`{"id":"acme/a","version":"1"}`, `{"acme/a":{"1":{"api":"0.1","layerDiffID":"LAYER"}}}`, "", "", "")
	schema := cyclonedxSchema()
	layer := static.NewLayer(make([]byte, 1024), types.OCIUncompressedLayer)
	diffID, err := layer.DiffID()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, metadata, buildpacks, extensions, distro, stack string) {
		for _, key := range []string{"io.buildpacks.builder.metadata", "io.buildpacks.buildpackage.metadata"} {
			img, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), layer)
			if err != nil {
				t.Fatal(err)
			}
			config := v1.ConfigFile{RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{diffID}}}
			config.Config.Labels = map[string]string{
				key: metadata, "io.buildpacks.buildpack.layers": inLayer(buildpacks, diffID), "io.buildpacks.extension.layers": inLayer(extensions, diffID),
				"io.buildpacks.base.distro.name": distro, "io.buildpacks.base.distro.version": stack, "io.buildpacks.stack.id": stack,
			}
			if img, err = mutate.ConfigFile(img, &config); err != nil {
				t.Fatal(err)
			}
			view, err := image.New(context.Background(), image.Raw{Image: img, Name: "it", Stored: true, Limits: stream.Limits{}.OrDefault(), Log: &workbench.Log{}})
			if err != nil {
				continue
			}
			raw, err := attest.SBOM(view, attest.SBOMOptions{})
			if err != nil {
				continue
			}
			if err := workbench.Valid(schema, raw); err != nil {
				t.Fatalf("%v\n%s", err, raw)
			}
			digest, err := view.Digest()
			if err != nil {
				t.Fatal(err)
			}
			if about, err := attest.Subjects(attest.CycloneDX, raw); err != nil || !slices.Contains(about, digest) {
				t.Fatalf("it is about %v, %v", about, err)
			}
			expectOnce(t, raw)
		}
	})
}

// inLayer puts all modules of a label into the layer.
func inLayer(label string, diffID v1.Hash) string {
	var all map[string]map[string]map[string]any
	if json.Unmarshal([]byte(label), &all) != nil {
		return label
	}
	for _, versions := range all {
		for _, m := range versions {
			if m != nil {
				m["layerDiffID"] = diffID.String()
			}
		}
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return label
	}
	return string(raw)
}

// expectOnce fails if a reference stands for two components, or for none.
func expectOnce(t *testing.T, raw []byte) {
	var d struct {
		Components []struct {
			Ref string `json:"bom-ref"`
		}
		Dependencies []struct {
			Ref       string
			DependsOn []string
		}
		Metadata struct {
			Component struct {
				Ref string `json:"bom-ref"`
			}
		}
	}
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&d); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{d.Metadata.Component.Ref: true}
	for _, c := range d.Components {
		if seen[c.Ref] {
			t.Fatalf("%q twice in %s", c.Ref, raw)
		}
		seen[c.Ref] = true
	}
	for _, dep := range d.Dependencies {
		for _, ref := range append(dep.DependsOn, dep.Ref) {
			if !seen[ref] {
				t.Fatalf("%q is nowhere in %s", ref, raw)
			}
		}
	}
}
