package registry

import (
	"bytes"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	// entryLimit is how many entries the objects and lists of a document may
	// have together. An entry of two bytes takes up to 140 in memory, so that
	// the size alone does not bound what a document takes. An index of 1,000
	// images has some 10,000 entries, an image of 127 layers 1,000.
	entryLimit = 100_000
	// layerLimit is how many layers a manifest, and diffIDs a config, may list.
	// Engines take 127 layers; finding each layer takes a search through all.
	layerLimit = 1000
)

// ParseManifest reads an image manifest from outside, within the limits of [CheckDocument].
func ParseManifest(document []byte) (*v1.Manifest, error) {
	if err := CheckDocument(document); err != nil {
		return nil, err
	}
	return v1.ParseManifest(bytes.NewReader(document))
}

// ParseIndex reads an image index from outside, within the limits of [CheckDocument].
func ParseIndex(document []byte) (*v1.IndexManifest, error) {
	if err := CheckDocument(document); err != nil {
		return nil, err
	}
	return v1.ParseIndexManifest(bytes.NewReader(document))
}

// ParseConfig reads an image config from outside, within the limits of [CheckDocument].
func ParseConfig(document []byte) (*v1.ConfigFile, error) {
	if err := CheckDocument(document); err != nil {
		return nil, err
	}
	return v1.ParseConfigFile(bytes.NewReader(document))
}

// CheckDocument reports where a manifest, an index or an image config has more
// entries or layers than are read. It has to be called before anything else
// parses a document from outside, and leaves it to the parser to say what is
// wrong with one that is no JSON.
func CheckDocument(document []byte) error {
	switch n := entries(document); {
	case n > entryLimit:
		return fmt.Errorf("its JSON has %d entries, more than the limit of %d", n, entryLimit)
	case n <= layerLimit:
		return nil
	}
	var d struct {
		Layers []json.RawMessage `json:"layers"`
		RootFS struct {
			DiffIDs []json.RawMessage `json:"diff_ids"`
		} `json:"rootfs"`
	}
	_ = json.Unmarshal(document, &d)
	if n := max(len(d.Layers), len(d.RootFS.DiffIDs)); n > layerLimit {
		return fmt.Errorf("it lists %d layers, more than the limit of %d", n, layerLimit)
	}
	return nil
}

// entries counts the entries of all objects and lists of a JSON document
// without parsing it: each has a comma or the beginning of a list before it.
func entries(document []byte) int {
	n, inString, begun := 0, false, false
	for i := 0; i < len(document); i++ {
		c := document[i]
		switch {
		case inString:
			if c == '\\' {
				i++
			}
			inString = c != '"'
			continue
		case c == ' ', c == '\t', c == '\n', c == '\r':
			continue
		case c == ',', begun && c != ']' && c != '}':
			n++
		}
		inString, begun = c == '"', c == '[' || c == '{'
	}
	return n
}
