package frontend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/moby/buildkit/frontend/gateway/client"

	"laminate/builder/lifecycle"
	"laminate/flatten"
)

// How large an index or a manifest, and a config may be. An entry of three bytes takes a hundred in memory.
const maxManifest, maxConfig = 1 << 20, 4 << 20

// exported is the app image that the build step exported.
type exported struct {
	config *v1.ConfigFile
	raw    []byte // of the config
	layers []exportedLayer
}

// exportedLayer is a layer above the run image.
type exportedLayer struct {
	v1.Descriptor
	diff v1.Hash
	file string // in the output of the build step
	// reused is the place of the layer in the previous image, which has the blob then, or -1.
	reused int
}

// readExported reads what the build step exported. Buildpacks ran as the user who wrote it, so nothing of
// it is believed: documents are read up to a limit, and blobs are verified as they are read.
func (a *appBuild) readExported(ctx context.Context) (*exported, error) {
	e, err := a.parseExported(ctx)
	if err != nil {
		return nil, fmt.Errorf("the lifecycle exported no usable image: %w", plain(err))
	}
	return e, nil
}

const exportedDir = "/app/latest"

func blobFile(h v1.Hash) string { return path.Join(exportedDir, "blobs", h.Algorithm, h.Hex) }

func (a *appBuild) parseExported(ctx context.Context) (*exported, error) {
	var index v1.IndexManifest
	raw, err := readAll(ctx, a.output, path.Join(exportedDir, "index.json"), maxManifest)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, fmt.Errorf("index.json: %w", err)
	}
	if len(index.Manifests) != 1 {
		return nil, fmt.Errorf("index.json names %d images instead of one", len(index.Manifests))
	}
	var m v1.Manifest
	if err := a.readJSON(ctx, index.Manifests[0].Digest, maxManifest, &m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	e := &exported{config: &v1.ConfigFile{}}
	if err := a.readJSON(ctx, m.Config.Digest, maxConfig, e.config); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	diffs, below := e.config.RootFS.DiffIDs, a.run.config.RootFS.DiffIDs
	switch {
	case len(diffs) > maxLayers || len(diffs) != len(m.Layers):
		return nil, fmt.Errorf("its config has %d layers, and its manifest %d", len(diffs), len(m.Layers))
	case len(diffs) <= len(below) || !slices.Equal(diffs[:len(below)], below):
		return nil, errors.New("its layers do not begin with those of the run image")
	}
	for i, d := range m.Layers[len(below):] {
		l := exportedLayer{Descriptor: d, diff: diffs[len(below)+i], file: blobFile(d.Digest), reused: -1}
		if l, err = a.locate(ctx, l); err != nil {
			return nil, fmt.Errorf("layer %s: %w", d.Digest, err)
		}
		e.layers = append(e.layers, l)
	}
	e.raw, err = a.finish(e.config)
	return e, err
}

// readJSON reads and verifies a blob.
func (a *appBuild) readJSON(ctx context.Context, hash v1.Hash, limit int, into any) error {
	raw, err := readAll(ctx, a.output, blobFile(hash), limit)
	if err != nil {
		return err
	}
	if got, _, err := v1.SHA256(bytes.NewReader(raw)); err != nil || got != hash {
		return fmt.Errorf("%s has other content", hash)
	}
	return json.Unmarshal(raw, into)
}

// locate finds out where the blob of a layer is. Of a layer of the previous image, the lifecycle knows the
// diffID only, in the place of the digest.
func (a *appBuild) locate(ctx context.Context, l exportedLayer) (exportedLayer, error) {
	if l.Digest == l.diff && l.Size == 0 {
		if l.reused = a.previous.index(l.diff); l.reused < 0 {
			return l, errors.New("it is reused, and there is no previous image that has it")
		}
		return l, nil
	}
	stat, err := a.output.StatFile(ctx, client.StatRequest{Path: l.file})
	if err != nil {
		return l, fmt.Errorf("its blob is missing: %w", plain(err))
	}
	if !fs.FileMode(stat.Mode).IsRegular() || stat.Size != l.Size || l.Size == 0 {
		return l, fmt.Errorf("its size is %d, and not %d", stat.Size, l.Size)
	}
	l.MediaType = ociLayer(l.MediaType)
	return l, nil
}

// ociLayer returns OCI's media type of a layer.
func ociLayer(t types.MediaType) types.MediaType {
	switch t {
	case types.DockerLayer:
		return types.OCILayer
	case types.DockerUncompressedLayer:
		return types.OCIUncompressedLayer
	}
	return t
}

// finish returns the config of the app image with the reference of the run image, which the lifecycle
// makes up.
func (a *appBuild) finish(config *v1.ConfigFile) ([]byte, error) {
	labels := config.Config.Labels
	reference := a.run.name()
	fixed, err := lifecycle.WithRunImage(labels[flatten.AppLayersLabel], reference)
	if err != nil {
		return nil, err
	}
	labels[flatten.AppLayersLabel] = fixed
	for key, value := range a.ui.Labels { // docker build --label
		labels[key] = value
	}
	return json.Marshal(config)
}

// chunk is how much of a file is read at a time: messages of BuildKit hold up to 16 MiB.
const chunk = 8 << 20

// readAll reads a file that is no larger than the limit.
func readAll(ctx context.Context, ref client.Reference, name string, limit int) ([]byte, error) {
	var all []byte
	for {
		data, err := ref.ReadFile(ctx, client.ReadRequest{Filename: name, Range: &client.FileRange{Offset: len(all), Length: min(chunk, limit+1-len(all))}})
		if err != nil {
			return nil, err
		}
		all = append(all, data...)
		if len(all) > limit {
			return nil, fmt.Errorf("%s is larger than %d MiB", name, limit>>20)
		}
		if len(data) == 0 || len(data) < chunk {
			return all, nil
		}
	}
}
