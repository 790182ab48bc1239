package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

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
	var errs []error
	for key, value := range map[string]any{
		flatten.BuilderMetadataLabel: &b.BuilderMetadata, flatten.OrderLabel: &b.Order,
		flatten.OrderExtensionsLabel: &b.OrderExtensions, flatten.SystemLabel: &b.System,
	} {
		text := i.Config.Config.Labels[key]
		if text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(text), value); err != nil {
			errs = append(errs, fmt.Errorf("%s: label %s: %w", i.Name, key, err))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return &b, errors.Join(errs...)
}
