package image

import (
	"encoding/json"
	"errors"
	"fmt"

	"laminate/flatten"
)

// AppLabels is the content of the labels of an app image.
type AppLabels struct {
	Layers flatten.AppLayers
	Build  flatten.BuildMetadata
}

// AppLabels returns the content of the labels of an app image. It reports all invalid labels at
// once; those that are missing are empty.
func (i *Image) AppLabels() (*AppLabels, error) {
	var a AppLabels
	return &a, errors.Join(i.decode(flatten.AppLayersLabel, &a.Layers), i.decode(flatten.BuildMetadataLabel, &a.Build))
}

// decode decodes the JSON value of a label. A missing label is empty.
func (i *Image) decode(key string, value any) error {
	text := i.Config.Config.Labels[key]
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), value); err != nil {
		return fmt.Errorf("%s: label %s: %w", i.Name, key, err)
	}
	return nil
}

// Metadata returns the content of the metadata label of a buildpackage or an extension package, as
// far as it is valid.
func (i *Image) Metadata() (flatten.Metadata, error) {
	var m flatten.Metadata
	err := i.decode(flatten.BuildpackageMetadataLabel, &m)
	if err == nil {
		if err = (flatten.Ref{ID: m.ID, Version: m.Version}).Check(); err != nil {
			err = fmt.Errorf("%s: label %s: %w", i.Name, flatten.BuildpackageMetadataLabel, err)
		}
	}
	return m, err
}
