package image

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"laminate/flatten"
)

// refNameKey is the annotation that holds a tag (OCI image layout).
const refNameKey = "org.opencontainers.image.ref.name"

// Catalog is a place that holds the images of an index.
type Catalog interface {
	SubIndex(ctx context.Context, d v1.Descriptor) (*v1.IndexManifest, error)
	Image(ctx context.Context, d v1.Descriptor) (v1.Image, error)
}

const (
	indexDepth = 4
	// indexLimit bounds how much is looked at in an index and in those within.
	indexLimit = 1000
)

// ErrNoImage is the error of a place that exists and holds other images than
// the wanted one.
var ErrNoImage = errors.New("no such image")

type noImage struct{ error }

func (noImage) Is(target error) bool { return target == ErrNoImage }

// Holding is what the entries of an index are.
type Holding bool

const (
	// OneName: the images of one name, for several platforms.
	OneName Holding = false
	// ManyNames: images of several names, as in the index.json of a layout.
	ManyNames Holding = true
)

// candidate is an image that an index leads to.
type candidate struct {
	v1.Descriptor
	platform v1.Platform
	name     int      // candidates of one name have the same number
	image    v1.Image // nil unless it had to be read for its platform
}

// Pick chooses the image for the target from an index and the indexes in it. Of
// several images that one name has for a platform, such as one in gzip and one
// in zstd, the first counts (OCI image spec, "Image Index"; Docker does the
// same). If the target does not name a whole platform, only one image may fit.
func Pick(ctx context.Context, c Catalog, index *v1.IndexManifest, holds Holding, target flatten.Target) (v1.Image, error) {
	search := search{catalog: c, holds: holds, seen: map[v1.Hash]bool{}}
	if err := search.in(ctx, index, 0); err != nil {
		return nil, err
	}
	all := firstOfEach(search.found)
	if len(all) == 0 {
		return nil, errors.New("no images")
	}
	var fit []candidate
	for _, one := range all {
		if platformFits(one.platform, target) {
			fit = append(fit, one)
		}
	}
	if best := slices.DeleteFunc(slices.Clone(fit), func(one candidate) bool { return !exact(one.platform, target) }); len(fit) > 1 && len(best) > 0 {
		fit = best
	}
	switch {
	case len(fit) == 0:
		return nil, noImage{fmt.Errorf("no image for %s; available: %s", target, platforms(all))}
	case len(fit) > 1 && len(tagsOf(index)) > 1:
		return nil, fmt.Errorf("ambiguous: several images (tags %s); append :TAG, or choose with --target", strings.Join(tagsOf(index), ", "))
	case len(fit) > 1:
		return nil, fmt.Errorf("ambiguous: images for %s; choose with --target %s", platforms(fit), strings.ReplaceAll(platforms(fit), ", ", " or --target "))
	}
	if fit[0].image != nil {
		return fit[0].image, nil
	}
	return ImageOnly(c.Image(ctx, fit[0].Descriptor))
}

// exact reports whether a platform equals the target's.
func exact(have v1.Platform, want flatten.Target) bool {
	version := ""
	if len(want.Distros) == 1 {
		version = want.Distros[0].Version
	}
	return have.OS == want.OS && have.Architecture == want.Arch &&
		variant(have.Architecture, have.Variant) == variant(want.Arch, want.Variant) && have.OSVersion == version
}

// firstOfEach keeps the first image of each platform that a name has.
func firstOfEach(all []candidate) []candidate {
	type key struct {
		name                       int
		os, arch, variant, version string
	}
	var first []candidate
	seen := map[key]bool{}
	for _, one := range all {
		p := one.platform
		k := key{one.name, p.OS, p.Architecture, variant(p.Architecture, p.Variant), p.OSVersion}
		if !seen[k] {
			seen[k] = true
			first = append(first, one)
		}
	}
	return first
}

// search lists the images of an index and of those within, each once.
type search struct {
	catalog Catalog
	holds   Holding
	name    int
	seen    map[v1.Hash]bool // images and indexes
	looked  int              // at how many descriptors
	found   []candidate
}

func (s *search) in(ctx context.Context, index *v1.IndexManifest, depth int) error {
	if depth == indexDepth {
		return fmt.Errorf("indexes are nested too deeply; the limit is %d", indexDepth)
	}
	for i, d := range index.Manifests {
		if err := ctx.Err(); err != nil {
			return err
		}
		if depth == 0 && s.holds == ManyNames {
			s.name = i
		}
		if s.looked++; s.looked > indexLimit {
			return fmt.Errorf("too many entries in indexes; the limit is %d", indexLimit)
		}
		if isAttachment(d) || s.seen[d.Digest] {
			continue
		}
		s.seen[d.Digest] = true
		switch {
		case d.MediaType.IsIndex():
			inner, err := s.catalog.SubIndex(ctx, d)
			if err != nil {
				return fmt.Errorf("index %s: %w", d.Digest, err)
			}
			if err := s.in(ctx, inner, depth+1); err != nil {
				return err
			}
		case d.MediaType.IsImage():
			one, err := newCandidate(ctx, s.catalog, d)
			if errors.Is(err, errAttachment) {
				continue
			}
			if err != nil {
				return err
			}
			one.name = s.name
			s.found = append(s.found, one)
		}
	}
	return nil
}

// newCandidate reads the platform from the image's config, where the index
// does not say it.
func newCandidate(ctx context.Context, c Catalog, d v1.Descriptor) (candidate, error) {
	if d.Platform != nil {
		return candidate{Descriptor: d, platform: *d.Platform}, nil
	}
	img, err := ImageOnly(c.Image(ctx, d))
	if err != nil {
		return candidate{}, err
	}
	config, err := configOf(img, true)
	if err != nil {
		return candidate{}, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	if config.OS == "unknown" {
		return candidate{}, errAttachment
	}
	return candidate{Descriptor: d, image: img, platform: v1.Platform{
		OS: config.OS, Architecture: config.Architecture, Variant: config.Variant, OSVersion: config.OSVersion,
	}}, nil
}

// errAttachment is the error of a manifest that is not an image but belongs to
// one: a signature, an attestation, an SBOM.
var errAttachment = errors.New("not an image")

// isAttachment reports whether an index says of an entry that it is a
// signature, an attestation or another artifact.
func isAttachment(d v1.Descriptor) bool {
	if d.Annotations["vnd.docker.reference.type"] != "" || d.Platform != nil && d.Platform.OS == "unknown" {
		return true
	}
	return d.ArtifactType != "" && !types.MediaType(d.ArtifactType).IsConfig()
}

// ImageOnly returns the image, unless its manifest is one of an attachment
// (see errAttachment). Most of these have a config or an artifact type of their
// own (OCI image spec, "Guidelines for Artifact Usage"); cosign's signatures
// have an image's config, and layers that are no file system.
func ImageOnly(img v1.Image, err error) (v1.Image, error) {
	if err != nil {
		return nil, err
	}
	m, err := img.Manifest()
	if err != nil {
		return nil, err
	}
	kind := m.ArtifactType
	if kind == "" && m.Config.MediaType != "" && !m.Config.MediaType.IsConfig() {
		kind = string(m.Config.MediaType)
	}
	if kind == "" && len(m.Layers) > 0 && !slices.ContainsFunc(m.Layers, func(l v1.Descriptor) bool { return isFileSystem(l.MediaType) }) {
		kind = string(m.Layers[0].MediaType)
	}
	if kind == "" || types.MediaType(kind).IsConfig() {
		return img, nil
	}
	return nil, fmt.Errorf("%w: artifact of type %q", errAttachment, kind)
}

// isFileSystem reports whether a media type is one of image layers, those that
// are not supported included.
func isFileSystem(m types.MediaType) bool {
	return m.IsLayer() || strings.HasPrefix(string(m), "application/vnd.oci.image.layer.") || strings.HasPrefix(string(m), "application/vnd.docker.image.rootfs.")
}

func platforms(all []candidate) string {
	var names []string
	for _, one := range all {
		name := one.platform.String()
		if name == "" {
			name = "no platform"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

// platformFits reports whether an image for a platform can be used for the
// target. A field that is empty in either fits.
func platformFits(have v1.Platform, want flatten.Target) bool {
	if len(want.Distros) == 1 && have.OSVersion != "" && have.OSVersion != want.Distros[0].Version {
		return false
	}
	return agree(have.OS, want.OS) && agree(have.Architecture, want.Arch) &&
		agree(variant(have.Architecture, have.Variant), variant(want.Arch, want.Variant))
}

func agree(have, want string) bool { return have == "" || want == "" || have == want }

// variant returns the variant, or "" for the one that every arm64 has.
func variant(arch, v string) string {
	if arch == "arm64" && strings.TrimPrefix(v, "v") == "8" {
		return ""
	}
	return v
}

// CheckTarget returns an error where the config of an image is not for a
// platform. The name of the image is for messages.
func CheckTarget(name string, c *v1.ConfigFile, want flatten.Target) error {
	if c.OS == "windows" {
		return fmt.Errorf("%s: unsupported platform windows; use the linux variant", name)
	}
	if !platformFits(v1.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}, flatten.Target{OS: want.OS, Arch: want.Arch, Variant: want.Variant}) {
		have := flatten.Target{OS: c.OS, Arch: c.Architecture, Variant: c.Variant}
		return noImage{fmt.Errorf("%s: platform is %s, expected %s", name, have, want)}
	}
	return nil
}

// Tagged keeps what an index has of a tag.
func Tagged(index *v1.IndexManifest, tag string) (*v1.IndexManifest, error) {
	of := *index
	of.Manifests = slices.DeleteFunc(slices.Clone(index.Manifests), func(d v1.Descriptor) bool { return d.Annotations[refNameKey] != tag })
	if len(of.Manifests) > 0 {
		return &of, nil
	}
	if tags := tagsOf(index); len(tags) > 0 {
		return nil, noImage{fmt.Errorf("no tag %q; available: %s", tag, strings.Join(tags, ", "))}
	}
	return nil, noImage{fmt.Errorf("no tag %q, and no other tags", tag)}
}

func tagsOf(index *v1.IndexManifest) []string {
	var tags []string
	for _, d := range index.Manifests {
		if tag := d.Annotations[refNameKey]; tag != "" {
			tags = append(tags, fmt.Sprintf("%q", tag))
		}
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}
