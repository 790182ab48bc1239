package registry

import (
	"bytes"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	// entryLimit is the maximum number of entries in all objects and lists of a document. An entry
	// of 2 bytes takes up to 140 bytes in memory, so the size limit alone is not enough. An index
	// of 1,000 images has some 10,000 entries, an image of 127 layers 1,000.
	entryLimit = 100_000
	// layerLimit is the maximum number of layers of a manifest, and of diffIDs of a config. Engines
	// support 127 layers; looking up all layers takes quadratic time.
	layerLimit = 1000
)

// ParseManifest parses an untrusted image manifest, within the limits of [CheckDocument].
func ParseManifest(document []byte) (*v1.Manifest, error) {
	if err := CheckDocument(document); err != nil {
		return nil, err
	}
	return v1.ParseManifest(bytes.NewReader(document))
}

// ParseIndex parses an untrusted image index, within the limits of [CheckDocument].
func ParseIndex(document []byte) (*v1.IndexManifest, error) {
	if err := CheckDocument(document); err != nil {
		return nil, err
	}
	return v1.ParseIndexManifest(bytes.NewReader(document))
}

// ParseConfig parses an untrusted image config, within the limits of [CheckDocument].
func ParseConfig(document []byte) (*v1.ConfigFile, error) {
	if err := CheckDocument(document); err != nil {
		return nil, err
	}
	return v1.ParseConfigFile(bytes.NewReader(document))
}

// CheckDocument returns an error if a manifest, an index or an image config has too many entries or
// layers. Call it before parsing an untrusted document. It accepts invalid JSON, which the parser
// reports.
func CheckDocument(document []byte) error {
	switch n := entries(document); {
	case n > entryLimit:
		return fmt.Errorf("too many JSON entries: %d, the limit is %d", n, entryLimit)
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
		return fmt.Errorf("too many layers: %d, the limit is %d", n, layerLimit)
	}
	return nil
}

// entries counts the entries of all objects and lists of a JSON document without parsing it: each
// follows a comma or an opening bracket.
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
