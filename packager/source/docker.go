package source

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/image"
	"laminate/packager/registry"
	"laminate/packager/stream"
)

func (o *Opener) openOCIArchive(ctx context.Context, img *opening, file, tag string, target flatten.Target) error {
	a, err := o.archive(ctx, file, img.Name)
	if err != nil {
		return err
	}
	return img.openLayout(a, tag, target)
}

func (o *Opener) openDockerArchive(ctx context.Context, img *opening, file, ref string) error {
	a, err := o.archive(ctx, file, img.Name)
	if err != nil {
		return err
	}
	return img.openDocker(a, ref)
}

// openDocker opens an image in the format of `docker save`: that of a reference, or the only one.
func (i *opening) openDocker(a *archive, ref string) error {
	img, err := readDocker(i.ctx, a, ref)
	if err != nil {
		return fmt.Errorf("%s: %w", i.Name, err)
	}
	i.Image = img
	return nil
}

// openSaved opens an image in the format of `docker save` since Docker 25: an OCI layout and, in
// the same archive, a manifest.json for older readers. Docker 25.0.0 wrote OCI manifests without
// layers (moby/moby#47065). If the number of layers in the layout's manifest and config differ,
// manifest.json is used.
func (i *opening) openSaved(a *archive, target flatten.Target) error {
	if err := i.openLayout(a, "", target); err != nil {
		return err
	}
	if len(i.platforms) > 1 { // manifest.json has no others
		return nil
	}
	m, err := i.Manifest()
	if err != nil {
		return i.Error(err)
	}
	c, err := i.Config()
	if err != nil || len(m.Layers) == len(c.RootFS.DiffIDs) {
		return err
	}
	i.Stored, i.platforms = false, nil
	return i.openDocker(a, "")
}

func readDocker(ctx context.Context, a *archive, ref string) (v1.Image, error) {
	data, err := layout{a}.file(ctx, "manifest.json")
	if err != nil {
		return nil, fmt.Errorf("not a Docker archive: %w", err)
	}
	if err := registry.CheckDocument(data); err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	var all tarball.Manifest
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	one, err := chooseDocker(all, ref)
	if err != nil {
		return nil, err
	}
	config, err := layout{a}.file(ctx, one.Config)
	if err != nil {
		return nil, err
	}
	// The name of the config is its digest.
	digest, _, _ := v1.SHA256(bytes.NewReader(config)) // reading from memory
	if named := strings.TrimSuffix(path.Base(one.Config), ".json"); len(named) == 64 && named != digest.Hex {
		return nil, fmt.Errorf("config %s: digest is %s", one.Config, digest)
	}
	parsed, err := registry.ParseConfig(config)
	if err != nil {
		return nil, fmt.Errorf("config %s: %w", one.Config, err)
	}
	return partial.UncompressedToImage(&dockerImage{ctx: ctx, archive: a, Descriptor: one, config: config, diffIDs: parsed.RootFS.DiffIDs})
}

// chooseDocker finds the image of a reference, or the only one.
func chooseDocker(all tarball.Manifest, ref string) (tarball.Descriptor, error) {
	var tags []string
	for _, one := range all {
		tags = append(tags, one.RepoTags...)
	}
	slices.Sort(tags)
	switch {
	case len(all) == 0:
		return tarball.Descriptor{}, errors.New("no images")
	case ref == "" && len(all) == 1:
		return all[0], nil
	case ref == "":
		return tarball.Descriptor{}, fmt.Errorf("ambiguous: several images (%s); append :REF", strings.Join(tags, ", "))
	}
	want, err := name.ParseReference(ref)
	if err != nil {
		return tarball.Descriptor{}, err
	}
	for _, one := range all {
		for _, tag := range one.RepoTags {
			if have, err := name.ParseReference(tag); err == nil && have.Name() == want.Name() {
				return one, nil
			}
		}
	}
	if len(tags) == 0 {
		return tarball.Descriptor{}, fmt.Errorf("no image %s, and no other with a name", ref)
	}
	return tarball.Descriptor{}, fmt.Errorf("no image %s; available: %s", ref, strings.Join(tags, ", "))
}

// dockerImage implements partial.UncompressedImageCore.
type dockerImage struct {
	tarball.Descriptor
	ctx     context.Context
	archive *archive
	config  []byte
	diffIDs []v1.Hash // of the config, which is parsed once
}

func (i *dockerImage) RawConfigFile() ([]byte, error)      { return i.config, nil }
func (i *dockerImage) MediaType() (types.MediaType, error) { return types.DockerManifestSchema2, nil }

func (i *dockerImage) LayerByDiffID(h v1.Hash) (partial.UncompressedLayer, error) {
	if len(i.diffIDs) != len(i.Layers) {
		return nil, fmt.Errorf("manifest.json lists %d layers, the config %d diffIDs", len(i.Layers), len(i.diffIDs))
	}
	at := slices.Index(i.diffIDs, h)
	if at < 0 {
		return nil, fmt.Errorf("layer %s: not in the image", h)
	}
	return &dockerLayer{image: i, diffID: h, file: i.Layers[at]}, nil
}

// dockerLayer implements partial.UncompressedLayer.
type dockerLayer struct {
	image  *dockerImage
	diffID v1.Hash
	file   string
}

func (l *dockerLayer) DiffID() (v1.Hash, error)            { return l.diffID, nil }
func (l *dockerLayer) MediaType() (types.MediaType, error) { return types.DockerLayer, nil }

// Uncompressed reads the layer's tar. Some tools compress it in the archive.
func (l *dockerLayer) Uncompressed() (io.ReadCloser, error) {
	rc, _, err := l.image.archive.open(l.file)
	if err != nil {
		return nil, err
	}
	packed := &stream.Counted{Reader: stream.WithContext(l.image.ctx, rc)}
	r := bufio.NewReaderSize(packed, 64<<10)
	magic, err := r.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, rc.Close())
	}
	is := image.CompressionIn(magic)
	if is == layer.Uncompressed {
		return stream.ReadCloser{Reader: r, Closer: rc}, nil
	}
	unpacked, err := is.Decompress(r)
	if err != nil {
		return nil, errors.Join(err, rc.Close())
	}
	within := stream.Within(l.image.archive.limits, unpacked, packed)
	return stream.ReadCloser{Reader: within, Closer: stream.Unpacker{Decompressor: unpacked, Packed: rc}}, nil
}
