package sink

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"laminate/flatten"
	"laminate/packager/mediatype"
)

// content is the parts of an image: manifest and blobs. It holds the small ones in memory; layers
// are read when they are written.
type content struct {
	target   flatten.Target
	platform v1.Platform
	manifest manifest
	config   blob
	layers   []blob // in the order of the manifest, including duplicates
	diffIDs  []v1.Hash
	image    v1.Image
}

// A manifest is the encoded image manifest or index.
type manifest struct {
	raw       []byte
	mediaType types.MediaType
	digest    v1.Hash
}

// RawManifest and MediaType implement remote.Taggable.
func (m manifest) RawManifest() ([]byte, error)        { return m.raw, nil }
func (m manifest) MediaType() (types.MediaType, error) { return m.mediaType, nil }

func (m manifest) blob() blob { return bytesBlob("manifest", m.digest, m.raw) }

func (m manifest) descriptor() v1.Descriptor {
	return v1.Descriptor{MediaType: m.mediaType, Size: int64(len(m.raw)), Digest: m.digest}
}

// blobs returns all blobs of an image, including the manifest, each digest once.
func (c content) blobs() []blob {
	return unique(append([]blob{c.manifest.blob(), c.config}, c.layers...))
}

func unique(all []blob) []blob {
	var once []blob
	seen := map[v1.Hash]bool{}
	for _, b := range all {
		if !seen[b.digest] {
			seen[b.digest] = true
			once = append(once, b)
		}
	}
	return once
}

// readAll reads the parts of the images, and reports inconsistent images before anything is
// written.
func readAll(images []Image) ([]content, error) {
	if len(images) == 0 {
		return nil, errors.New("output: no image to write")
	}
	var all []content
	var wrong []error
	for _, img := range images {
		c, err := read(img)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("image for %s: %w", cmp.Or(img.Target.String(), "any target"), err))
		}
		all = append(all, c)
	}
	return all, errors.Join(wrong...)
}

func read(img Image) (content, error) {
	c := content{image: img.Image, target: img.Target}
	m, err := img.Manifest()
	if err != nil {
		return c, fmt.Errorf("manifest: %w", err)
	}
	if c.manifest.raw, err = img.RawManifest(); err != nil {
		return c, fmt.Errorf("manifest: %w", err)
	}
	if c.manifest.mediaType, err = img.MediaType(); err != nil {
		return c, fmt.Errorf("manifest: %w", err)
	}
	if c.manifest.digest, _, err = v1.SHA256(bytes.NewReader(c.manifest.raw)); err != nil {
		return c, fmt.Errorf("manifest: %w", err)
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return c, fmt.Errorf("config: %w", err)
	}
	c.config = bytesBlob("config", m.Config.Digest, config)
	if err := c.config.check(context.Background()); err != nil {
		return c, err
	}
	if err := c.readConfig(img); err != nil {
		return c, err
	}
	return c, c.readLayers(img, m)
}

// readConfig reads diffIDs and platform. The target takes precedence for the platform: a config
// cannot hold its distribution.
func (c *content) readConfig(img Image) error {
	file, err := img.ConfigFile()
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	c.diffIDs = file.RootFS.DiffIDs
	t := img.Target
	for _, differ := range [][2]string{{t.OS, file.OS}, {t.Arch, file.Architecture}, {t.Variant, file.Variant}} {
		if differ[0] != "" && differ[1] != "" && differ[0] != differ[1] {
			return fmt.Errorf("config: platform is %s, target is %s", file.Platform(), t)
		}
	}
	c.platform = v1.Platform{
		OS:           cmp.Or(t.OS, file.OS),
		Architecture: cmp.Or(t.Arch, file.Architecture),
		Variant:      cmp.Or(t.Variant, file.Variant),
		OSVersion:    file.OSVersion,
	}
	if len(t.Distros) > 0 {
		// As in pack's images and indexes.
		c.platform.OSVersion = t.Distros[0].Version
	}
	return nil
}

func (c *content) readLayers(img Image, m *v1.Manifest) error {
	layers, err := img.Layers()
	if err != nil {
		return fmt.Errorf("layers: %w", err)
	}
	if len(layers) != len(m.Layers) || len(layers) != len(c.diffIDs) {
		return fmt.Errorf("layers: %d in the manifest, %d in the config, %d in the image", len(m.Layers), len(c.diffIDs), len(layers))
	}
	for i, l := range layers {
		digest, err := l.Digest()
		if err != nil {
			return fmt.Errorf("layer %d: digest: %w", i+1, err)
		}
		if digest != m.Layers[i].Digest {
			return fmt.Errorf("layer %d: digest is %s, manifest says %s", i+1, digest, m.Layers[i].Digest)
		}
		c.layers = append(c.layers, blob{what: "layer", digest: digest, size: m.Layers[i].Size, open: l.Compressed, layer: l})
		c.config.home = nil
		if from, ok := l.(*remote.MountableLayer); ok {
			c.config.home = from.Reference
		}
	}
	return nil
}

// asOCI returns the image with OCI media types. Config and layers are unchanged; only the manifest,
// and its digest, change. OCI layouts need it: skopeo does not find a Docker manifest there by tag,
// and umoci does not find it at all.
func (c content) asOCI() (content, error) {
	if mediatype.FamilyOf(c.manifest.mediaType) == mediatype.OCI {
		return c, nil
	}
	m, err := v1.ParseManifest(bytes.NewReader(c.manifest.raw))
	if err != nil {
		return c, fmt.Errorf("manifest: %w", err)
	}
	m.MediaType = mediatype.OCI.Manifest()
	m.Config.MediaType = mediatype.OCI.Of(m.Config.MediaType)
	for i, l := range m.Layers {
		m.Layers[i].MediaType = mediatype.OCI.Of(l.MediaType)
	}
	c.manifest, err = encode(m, m.MediaType)
	return c, err
}

func allOCI(contents []content) ([]content, error) {
	converted := make([]content, len(contents))
	for i, c := range contents {
		var err error
		if converted[i], err = c.asOCI(); err != nil {
			return nil, fmt.Errorf("image for %s: %w", c.platform, err)
		}
	}
	return converted, nil
}

func bytesBlob(what string, digest v1.Hash, content []byte) blob {
	return blob{what: what, digest: digest, size: int64(len(content)), open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}}
}

// sorted returns the blobs sorted by digest.
func sorted(all []blob) []blob {
	return slices.SortedFunc(slices.Values(all), func(a, b blob) int { return cmp.Compare(a.digest.Hex, b.digest.Hex) })
}
