package smoke

import (
	"fmt"

	"laminate/builder/lifecycle"
	"laminate/packager/image"
	"laminate/packager/location"
)

// platform is how a builder's lifecycle is run.
type platform struct {
	*lifecycle.Platform
	labels *image.BuilderLabels
}

// platformOf reads what a builder says about its lifecycle and its user.
func platformOf(img *image.Image) (*platform, error) {
	if img.Kind() != image.Builder {
		return nil, fmt.Errorf("%s is %s, not a builder", img.Name, img.Kind().Indefinite())
	}
	labels, err := img.BuilderLabels()
	if err != nil {
		return nil, err
	}
	p, err := lifecycle.PlatformOf(labels.BuilderMetadata, img.Config.Config.Env)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", img.Name, err)
	}
	return &platform{p, labels}, nil
}

// RunImage returns the location of the run image that a builder names.
func RunImage(builder *image.Image) (location.Location, error) {
	p, err := platformOf(builder)
	if err != nil {
		return location.Location{}, err
	}
	if p.runImage() == "" {
		return location.Location{}, fmt.Errorf("%s: it names no run image", builder.Name)
	}
	return location.ListedImage(p.runImage(), "")
}

// runImage returns the name of the run image in the labels, or "".
func (p *platform) runImage() string { return lifecycle.RunImage(p.labels.BuilderMetadata) }
