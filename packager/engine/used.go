package engine

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/packager/image"
)

// Used is a source that an image was made of, for its provenance.
type Used struct {
	// Name is the source as the user wrote it.
	Name string
	// Digest is that of the image's manifest; or, with OfContent, that of the content: the content
	// identity of a directory's or an archive's buildpack, the image ID where there is no manifest, as
	// in the Docker daemon, or the diffID of the layer of a lifecycle's archive.
	Digest    v1.Hash
	OfContent bool
}

// UsedImage describes an image that was used.
func UsedImage(img *image.Image) (Used, error) {
	u := Used{Name: img.Name, OfContent: !img.Stored()}
	var err error
	if u.OfContent {
		u.Digest, err = img.ConfigName()
	} else {
		u.Digest, err = img.Digest()
	}
	return u, err
}

// UsedPackages describes packages that were used, in their order. It reads directories and archives
// whose content identity is not known yet.
func (r *Run) UsedPackages(ctx context.Context, packages []*image.Package) ([]Used, error) {
	var all []Used
	for _, p := range packages {
		if p.Image != nil {
			u, err := UsedImage(p.Image)
			if err != nil {
				return nil, err
			}
			all = append(all, u)
			continue
		}
		for _, m := range p.Modules {
			f, err := r.measure(ctx, m)
			if err != nil {
				return nil, err
			}
			all = append(all, Used{Name: p.Name, Digest: f.ContentID, OfContent: true})
		}
	}
	return all, nil
}
