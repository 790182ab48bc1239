package lifecycle

import (
	"encoding/json"
	"fmt"
	"strings"

	"laminate/flatten"
)

// WithRunImage returns the value of [flatten.AppLayersLabel] with another reference of the run image: the
// lifecycle writes the directory of the layout in which it found it. Nothing else changes.
func WithRunImage(metadata, reference string) (string, error) {
	var m struct {
		RunImage struct {
			Reference string `json:"reference"`
		} `json:"runImage"`
	}
	if err := json.Unmarshal([]byte(metadata), &m); err != nil {
		return "", fmt.Errorf("label %s: %w", flatten.AppLayersLabel, err)
	}
	was, err := json.Marshal(m.RunImage.Reference)
	if err != nil {
		return "", err
	}
	is, err := json.Marshal(reference)
	if err != nil {
		return "", err
	}
	return strings.Replace(metadata, `"reference":`+string(was), `"reference":`+string(is), 1), nil
}
