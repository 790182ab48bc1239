package frontend

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"

	"laminate/cli/frontend/step"
	"laminate/flatten"
)

// previous is an app image in a registry whose layers can be reused. BuildKit tells its config, and not its
// manifest: layers are known by their diffIDs, and taken by their place in the image.
type previous struct {
	*resolved
	asked bool // by a build argument, and so before that of the build before
}

// findPrevious finds the previous image: that of the build argument, which must exist, or the first of
// those that the client imports caches from, if it is an app image.
func (a *appBuild) findPrevious(ctx context.Context) (err error) {
	if name := a.args.previousImage; name != "" {
		img, err := a.resolve(ctx, "previous image", name, a.platform)
		if err != nil {
			return err
		}
		if !isApp(img) {
			return fmt.Errorf("previous image %s: not an app image: it has no label %s", img.written, flatten.AppLayersLabel)
		}
		a.previous = &previous{img, true}
		return nil
	}
	for _, from := range a.ui.CacheImports {
		if from.Type != "registry" || !a.canReuse() {
			continue
		}
		// A cache may be missing, or be no image, which BuildKit shows as an error.
		if img, err := a.resolve(ctx, "previous image, if there is one in the cache", from.Attrs["ref"], a.platform); err == nil && isApp(img) {
			a.previous = &previous{img, false}
			return nil
		}
	}
	return nil
}

// canReuse reports whether layers of a previous image in a registry can become layers of the result.
func (b *build) canReuse() bool {
	return !b.args.layout && !b.lacks(pb.CapDiffOp) && !b.lacks(pb.CapSourceImageLayerLimit)
}

func isApp(img *resolved) bool {
	_, is := img.config.Config.Labels[flatten.AppLayersLabel]
	return is
}

// index returns the place of the layer with a diffID, or -1.
func (p *previous) index(diff v1.Hash) int {
	if p == nil {
		return -1
	}
	return slices.Index(p.config.RootFS.DiffIDs, diff)
}

// sbomLayers returns how many layers of the image have to be there to read its SBOMs, or 0 if it has none.
func (p *previous) sbomLayers() int {
	var labels flatten.AppLayers
	if p == nil || p.label(flatten.AppLayersLabel, &labels) != nil || labels.SBOM == nil {
		return 0
	}
	hash, err := v1.NewHash(labels.SBOM.SHA)
	if err != nil {
		return 0
	}
	return p.index(hash) + 1
}

// layer returns one layer of the image, as BuildKit pulls it.
//
// BuildKit takes the blob over if it finds the image up to the layer, and the image below it, as one chain
// in its cache. A difference of several layers at once would not always be that: an image that this BuildKit
// has made itself is known as a merge of other chains.
func (p *previous) layer(b *build, at int) llb.State {
	if at == 0 {
		return p.below(b, 1)
	}
	return llb.Diff(p.below(b, at), p.below(b, at+1), llb.WithCustomName("reuse a layer of "+p.written))
}

// below returns the first layers of the image.
func (p *previous) below(b *build, n int) llb.State {
	return llb.Image(p.name(), llb.Platform(p.platform), b.ui.ImageResolveMode, llb.WithLayerLimit(n))
}

// layouts returns the directory /layout of the build step: the run image and the previous image, of which
// the lifecycle needs the configs.
func (a *appBuild) layouts() (llb.State, error) {
	owner := llb.WithUIDGID(a.lifecycle.UID, a.lifecycle.GID)
	files := llb.Mkdir("/layout", 0o755, owner)
	for _, parent := range []string{"index.docker.io", "index.docker.io/laminate", "index.docker.io/laminate/app", "index.docker.io/laminate/previous"} {
		files = files.Mkdir(path.Join("/layout", parent), 0o755, owner)
	}
	images := map[string]*resolved{step.Run: a.run}
	if a.previous != nil && a.previous.asked {
		images[step.Previous] = a.previous.resolved
	} else if a.previous != nil {
		images[step.Imported] = a.previous.resolved
	}
	for _, name := range []string{step.Run, step.Previous, step.Imported} {
		img := images[name]
		if img == nil {
			continue
		}
		raw := img.raw
		if img != a.run {
			var err error
			if raw, err = reusable(img.config); err != nil {
				return llb.State{}, fmt.Errorf("previous image %s: %w", img.written, err)
			}
		}
		l, err := newLayout(raw, standIns(img.config.RootFS.DiffIDs))
		if err != nil {
			return llb.State{}, err
		}
		dir := path.Join("/layout", step.Dir(name))
		files = files.Mkdir(path.Join(dir, "blobs/sha256"), 0o755, llb.WithParents(true), owner)
		files = l.write(files, dir, "", owner)
	}
	return llb.Scratch().File(files, internal("write the configs of images for the lifecycle")), nil
}

// reusable returns the config of a previous image that shows the lifecycle the layers of buildpacks only:
// what it makes itself at every build, it then exports, instead of naming what the previous image has.
func reusable(config *v1.ConfigFile) ([]byte, error) {
	c := config.DeepCopy()
	var labels map[string]json.RawMessage
	if err := json.Unmarshal([]byte(c.Config.Labels[flatten.AppLayersLabel]), &labels); err != nil {
		return nil, fmt.Errorf("label %s: %w", flatten.AppLayersLabel, err)
	}
	for _, key := range []string{"app", "config", "launcher", "process-types", "sbom"} {
		delete(labels, key)
	}
	raw, err := json.Marshal(labels)
	if err != nil {
		return nil, err
	}
	c.Config.Labels[flatten.AppLayersLabel] = string(raw)
	return json.Marshal(c)
}

// layout is an OCI layout of an image.
type layout struct {
	config, manifest []byte
	configHash, hash v1.Hash // of these
}

// standIns are descriptors of layers of which only the diffIDs are known: the lifecycle asks for no more,
// as long as it reuses them.
func standIns(diffs []v1.Hash) (all []v1.Descriptor) {
	for _, d := range diffs {
		all = append(all, v1.Descriptor{MediaType: types.OCIUncompressedLayer, Digest: d})
	}
	return all
}

// newLayout returns the layout of an image.
func newLayout(config []byte, layers []v1.Descriptor) (l layout, err error) {
	l.config = config
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Layers: layers, Config: v1.Descriptor{MediaType: types.OCIConfigJSON}}
	if m.Config.Digest, m.Config.Size, err = v1.SHA256(bytes.NewReader(config)); err != nil {
		return l, err
	}
	if l.manifest, err = json.Marshal(m); err != nil {
		return l, err
	}
	l.configHash = m.Config.Digest
	l.hash, _, err = v1.SHA256(bytes.NewReader(l.manifest))
	return l, err
}

// write adds the files of the layout to a directory, which has a directory for the blobs. The name of the
// image may be "".
func (l layout) write(files *llb.FileAction, dir, name string, opts ...llb.MkfileOption) *llb.FileAction {
	annotations := ""
	if name != "" {
		annotations = fmt.Sprintf(`,"annotations":{"org.opencontainers.image.ref.name":%q}`, name)
	}
	index := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d%s}]}`,
		types.OCIImageIndex, types.OCIManifestSchema1, l.hash.String(), len(l.manifest), annotations)
	return files.Mkfile(path.Join(dir, "oci-layout"), 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`), opts...).
		Mkfile(path.Join(dir, "index.json"), 0o644, index, opts...).
		Mkfile(path.Join(dir, "blobs/sha256", l.configHash.Hex), 0o644, l.config, opts...).
		Mkfile(path.Join(dir, "blobs/sha256", l.hash.Hex), 0o644, l.manifest, opts...)
}
