package image

import (
	"errors"
	"slices"

	"laminate/flatten"
)

// BuilderLabels is the content of a builder's labels, except those of layers.
type BuilderLabels struct {
	flatten.BuilderMetadata
	Order, OrderExtensions flatten.Order
	System                 flatten.System
}

// Entries returns the entries of the order and of the system buildpacks.
func (b *BuilderLabels) Entries() []flatten.Entry {
	return slices.Concat(b.Order.Entries(), b.System.Entries())
}

// BuilderLabels returns the content of the labels of a builder. It reports all invalid labels at once;
// those that are missing are empty.
func (i *Image) BuilderLabels() (*BuilderLabels, error) {
	var b BuilderLabels
	return &b, errors.Join(
		i.decode(flatten.BuilderMetadataLabel, &b.BuilderMetadata),
		i.decode(flatten.OrderLabel, &b.Order),
		i.decode(flatten.OrderExtensionsLabel, &b.OrderExtensions),
		i.decode(flatten.SystemLabel, &b.System),
	)
}
