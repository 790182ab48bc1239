package image

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"laminate/flatten"
)

// refNameKey is the annotation for tags (OCI image layout).
const refNameKey = "org.opencontainers.image.ref.name"

// Catalog provides the images of an index.
type Catalog interface {
	SubIndex(ctx context.Context, d v1.Descriptor) (*v1.IndexManifest, error)
	Image(ctx context.Context, d v1.Descriptor) (v1.Image, error)
}

const (
	indexDepth = 4
	// indexLimit is the maximum number of descriptors in an index, including nested ones.
	indexLimit = 1000
)

// ErrNoImage is the error for a location that exists, but does not have the wanted image.
var ErrNoImage = errors.New("no such image")

type noImage struct{ error }

func (noImage) Is(target error) bool { return target == ErrNoImage }

// Holding is how the entries of an index relate to images.
type Holding bool

const (
	// OneName: one image, for several platforms.
	OneName Holding = false
	// ManyNames: several images, as in the index.json of a layout.
	ManyNames Holding = true
)

// candidate is an image in an index.
type candidate struct {
	v1.Descriptor
	platform v1.Platform
	name     int      // equal for the platforms of one image
	image    v1.Image // nil unless it was read for its platform
}

// Pick chooses the image for the target from an index and its nested indexes. If an image has
// several manifests for a platform, such as gzip and zstd variants, Pick uses the first (OCI image
// spec, "Image Index"; Docker does the same). If the target is not a complete platform, it must
// match exactly one image.
func Pick(ctx context.Context, c Catalog, index *v1.IndexManifest, holds Holding, target flatten.Target) (v1.Image, error) {
	all, err := candidates(ctx, c, index, holds)
	if err != nil {
		return nil, err
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
	return fit[0].open(ctx, c)
}

// allJobs is how many images of an index are opened concurrently.
const allJobs = 8

// All opens the images of an index and its nested indexes, for all platforms, in their order. The
// index must be of a single name.
func All(ctx context.Context, c Catalog, index *v1.IndexManifest, holds Holding) ([]v1.Image, error) {
	all, err := candidates(ctx, c, index, holds)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(all, func(one candidate) bool { return one.name != all[0].name }) {
		if len(tagsOf(index)) == 0 {
			return nil, fmt.Errorf("ambiguous: several images without a tag, for %s; choose one with --target", platforms(all))
		}
		return nil, fmt.Errorf("ambiguous: several images (tags %s); append :TAG", strings.Join(tagsOf(index), ", "))
	}
	images, errs := make([]v1.Image, len(all)), make([]error, len(all))
	var group errgroup.Group
	group.SetLimit(allJobs)
	for i, one := range all {
		group.Go(func() error {
			images[i], errs[i] = one.open(ctx, c)
			return nil
		})
	}
	_ = group.Wait()
	return images, errors.Join(errs...)
}

// candidates lists the images of an index, the first for each platform. There is at least one.
func candidates(ctx context.Context, c Catalog, index *v1.IndexManifest, holds Holding) ([]candidate, error) {
	search := search{catalog: c, holds: holds, seen: map[v1.Hash]bool{}}
	if err := search.in(ctx, index, 0); err != nil {
		return nil, err
	}
	all := firstOfEach(search.found)
	if len(all) == 0 {
		return nil, errors.New("no images")
	}
	return all, nil
}

func (one candidate) open(ctx context.Context, c Catalog) (v1.Image, error) {
	if one.image != nil {
		return one.image, nil
	}
	return ImageOnly(c.Image(ctx, one.Descriptor))
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

// firstOfEach keeps the first candidate for each name and platform.
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

// search lists the images of an index and its nested indexes, each once.
type search struct {
	catalog Catalog
	holds   Holding
	name    int
	seen    map[v1.Hash]bool // images and indexes
	looked  int              // number of descriptors
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

// newCandidate reads the platform from the image's config if the index does not have it.
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

// platformFits reports whether an image for a platform can be used for the target. Empty fields
// match anything.
func platformFits(have v1.Platform, want flatten.Target) bool {
	if len(want.Distros) == 1 && have.OSVersion != "" && have.OSVersion != want.Distros[0].Version {
		return false
	}
	return agree(have.OS, want.OS) && agree(have.Architecture, want.Arch) &&
		agree(variant(have.Architecture, have.Variant), variant(want.Arch, want.Variant))
}

func agree(have, want string) bool { return have == "" || want == "" || have == want }

// variant returns the variant, or "" for the default one of arm64.
func variant(arch, v string) string {
	if arch == "arm64" && strings.TrimPrefix(v, "v") == "8" {
		return ""
	}
	return v
}

// CheckTarget returns an error if the config of an image does not match the target. Name is the
// image's name for messages.
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

// Tagged returns the index reduced to the entries of a tag.
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
