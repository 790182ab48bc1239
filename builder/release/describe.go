package release

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/packager/diff"
	"laminate/packager/image"
	"laminate/packager/stream"
)

// describe sets the sizes of the item's images, and what changed since the last release. It reads
// labels and manifests only.
func (r *Release) describe(ctx context.Context, item *Item) error {
	for _, img := range item.Images {
		view, err := image.New(ctx, image.Raw{
			Image: img.Image, Name: item.Title(), Stored: true, Limits: stream.Limits{}.OrDefault(), WorkDir: r.Engine.WorkDir, Log: r.Engine.Log,
		})
		if err != nil {
			return err
		}
		size, err := sizeOf(img)
		if err != nil {
			return err
		}
		item.views, item.sizes = append(item.views, view), append(item.sizes, size)
	}
	if item.Last == nil {
		return nil
	}
	last, err := r.Open.Platforms(ctx, item.Last.location(), flatten.Target{})
	if err != nil {
		return err
	}
	if item.changes, err = diff.Platforms(last.Images, item.views); err != nil {
		return err
	}
	item.changes.Old.Name, item.changes.New.Name = item.Last.Ref, item.Title()
	return nil
}

func sizeOf(img Image) (ImageReport, error) {
	manifest, err := img.Manifest()
	if err != nil {
		return ImageReport{}, err
	}
	digest, err := img.Digest()
	if err != nil {
		return ImageReport{}, err
	}
	r := ImageReport{Target: img.Target.String(), Digest: digest.String(), Layers: len(manifest.Layers)}
	seen := map[v1.Hash]bool{}
	for _, l := range manifest.Layers {
		if !seen[l.Digest] {
			r.Bytes += l.Size
		}
		seen[l.Digest] = true
	}
	return r, nil
}
