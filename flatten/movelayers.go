package flatten

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// MoveLayers returns a layers label in which the modules are in the layers with these diffIDs. All
// else in the label stays as it is, byte by byte, including keys that laminate does not know.
func MoveLayers(label string, to map[Ref]v1.Hash) (string, error) {
	var moved strings.Builder
	done := 0
	d := json.NewDecoder(strings.NewReader(label))
	err := eachMember(d, func(id string) error {
		return eachMember(d, func(version string) error {
			return eachMember(d, func(key string) error {
				colon := int(d.InputOffset())
				var value json.RawMessage
				if err := d.Decode(&value); err != nil {
					return err
				}
				diffID, moves := to[Ref{ID: id, Version: version}]
				if !moves || !strings.EqualFold(key, "layerDiffID") { // as package json reads it
					return nil
				}
				end := int(d.InputOffset())
				start := end - len(value)
				if start < colon {
					return errors.New("unexpected encoding")
				}
				moved.WriteString(label[done:start] + `"` + diffID.String() + `"`)
				done = end
				return nil
			})
		})
	})
	if err != nil {
		return "", fmt.Errorf("layers label: %w", err)
	}
	moved.WriteString(label[done:])
	is, err := ParseLayersLabel(moved.String())
	if err != nil {
		return "", err
	}
	for r, diffID := range to {
		if is[r.ID][r.Version].LayerDiffID != diffID.String() {
			return "", fmt.Errorf("layers label: no layer for %s", r)
		}
	}
	return moved.String(), nil
}

// eachMember reads a JSON object, or null. Do must read the value of each member.
func eachMember(d *json.Decoder, do func(key string) error) error {
	t, err := d.Token()
	if err != nil || t == nil {
		return err
	}
	if t != json.Delim('{') {
		return fmt.Errorf("expected an object, found %v", t)
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		key, _ := t.(string)
		if err := do(key); err != nil {
			return err
		}
	}
	_, err = d.Token() // the end of the object
	return err
}
